//! The mistakes of targets and routes.

use super::{Mistake, mistake};

pub(super) const MISTAKES: &[Mistake] = &[
    // Targets.
    mistake(
        "[[target]]\nid = \"t\"\nkind = \"fake\"",
        "1:1 target.address setting.missing",
        "tollbell init",
        "tollbell init",
    ),
    mistake(
        "[[target]]\nid = \"t\"\nkind = \"fake\"\naddress = 1",
        "4:11 target.address config.expected_text",
        "in quotes",
        "带引号",
    ),
    mistake(
        "TARGETaccept_sandbox = 1",
        "5:18 target.accept_sandbox config.expected_flag",
        "true or false",
        "true 或 false",
    ),
    mistake("TARGETTARGET", "6:6 target.id config.duplicate_id", "used once", "只能用一次"),
    mistake("TARGETid2 = 1", "5:1 target.id2 config.unknown_key_nearest", "`id`", "`id`"),
    // Routes.
    mistake("CHANNELTARGET[[route]]", "10:1 route.targets config.missing", "add this key", "请补上"),
    mistake("CHANNELTARGET[[route]]\ntargets = []", "11:11 route.targets config.missing", "add this key", "请补上"),
    mistake("CHANNELTARGET[[route]]\ntargets = 1", "11:11 route.targets config.expected_texts", "list of", "列表"),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"tt\"",
        "11:11 route.targets config.unknown_name_nearest",
        "`t`",
        "`t`",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"shop\"",
        "11:11 route.targets config.unknown_name",
        "configured",
        "已配置",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"t\"\nchannels = \"stripe\"",
        "12:12 route.channels config.unknown_name",
        "configured",
        "已配置",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"t\"\nchannels = []",
        "12:12 route.channels config.empty_list",
        "remove the line",
        "删去该行",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"t\"\nevents = []",
        "12:10 route.events config.empty_list",
        "remove the line",
        "删去该行",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"t\"\nevents = [\"payment.paid\"]",
        "12:10 route.events config.bad_event",
        "payment.succeeded",
        "payment.succeeded",
    ),
];
