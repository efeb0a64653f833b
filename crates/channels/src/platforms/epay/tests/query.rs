//! What of a query goes on to an application.

use super::*;
use crate::platforms::joined::OWN;

#[test]
fn of_a_query_only_what_is_signed_goes_on_as_it_was_written() {
    let plain = get(&sealed_v1(usual())).query.unwrap();
    let told = build(&v1().with(OWN, SettingValue::Texts(vec!["act".into(), "token".into()]))).unwrap();
    let silent = build(&v1()).unwrap();
    for channel in [&told, &silent] {
        assert_eq!(channel.signed_query(&get_raw(&plain)).as_ref(), Some(&plain));
        assert_eq!(channel.signed_query(&post(&sealed_v1(usual()))), None);
        for name in ["pid", "money", "sign", "sign_type", "param"] {
            assert!(channel.query_names().contains(&name), "{name}");
        }
    }
    // What anyone could have added: the merchant's own, and empty ones, which no signature covers.
    for added in
        ["act=delete", "token=%5Bremoved%5D", "act", "admin=", "admin", "x=&y&z=", "_SESSION=", "-d=", "BUYER="]
    {
        for query in
            [format!("{added}&{plain}"), format!("{plain}&{added}"), plain.replacen('&', &format!("&{added}&"), 1)]
        {
            let request = get_raw(&query);
            genuine(&v1().with(OWN, SettingValue::Texts(vec!["act".into(), "token".into()])), &request);
            assert_eq!(told.signed_query(&request).as_ref(), Some(&plain), "{query}");
        }
    }
    // The platform's own empty ones say what absent ones say, and scripts look for them.
    for (query, expected) in [
        (format!("buyer=&{plain}&x="), format!("buyer=&{plain}")),
        (format!("&&{plain}&endtime&"), format!("{plain}&endtime=")),
        (plain.replace("pid=", "%70%69d="), plain.replace("pid=", "%70%69d=")),
        (plain.replace("%E4", "%e4"), plain.replace("%E4", "%e4")),
    ] {
        genuine(&v1(), &get_raw(&query));
        assert_eq!(silent.signed_query(&get_raw(&query)), Some(expected), "{query}");
    }
}
