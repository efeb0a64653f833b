//! Pairs that are not the platform's among those that are: the notify URL's own, or a router's.

use bytes::Bytes;

use super::members;
use crate::channel::{Rejection, quote};
use crate::explain::{Case, Finding, Otherwise, Outcome, Probe, Undo};
use crate::form::{Form, Limits, Pair, written};
use crate::model::RawRequest;
use crate::settings::Text;

/// Most strangers that are left out one after the other, each as the refusal names it.
const STRANGERS_MAX: usize = 8;

/// Most pairs that are left out each for itself, where no refusal names one and a check is cheap.
const EACH_MAX: usize = 48;

/// Most names in one finding.
const NAMED_MAX: usize = 8;

/// What is read of a form or query.
const LIMITS: Limits = Limits { bytes_max: 512 * 1024, pairs_max: 256 };

/// Parameters of somebody else's among the platform's.
pub(in crate::explain::findings) static QUERY_MIXED: Finding = Finding {
    id: "query_mixed",
    title: Text {
        en: "parameters that the platform did not send stand among those that it signed: `{parameter}`",
        zh: "平台签名的参数中混入了平台没有发送的参数：{parameter}",
    },
    cause: Text {
        en: "The notify URL has parameters of its own (`?act=pay`), or a framework's router adds some (`s`, `_url`, `r`), and \
             they were read or sent on together with the platform's, as PHP's `$_REQUEST` and most frameworks' \
             \"all input\" do. Or something repeated a parameter of the platform's. The platform did not sign them.",
        zh: "通知地址自带参数（如 `?act=pay`），或框架路由添加了参数（`s`、`_url`、`r` 等），它们与平台的参数一起被读取或转发\
             （PHP 的 `$_REQUEST`、多数框架的“全部输入”都会这样）；也可能是平台的某个参数被重复添加。平台没有对它们签名。",
    },
    cure: Text {
        en: "Register a notify URL without `?`, and put what you need into its path. A script that sends messages on must send \
             the exact body. Where the platform's own parameters stand in the query, name yours in `ignored_parameters` if the \
             channel has that setting.",
        zh: "通知地址不要带 `?`，需要的标识写进路径；转发时只转发原始正文。若平台的参数本身就在查询串里，且该渠道有 \
             `ignored_parameters` 设置，请在其中列出自己的参数名。",
    },
    probes: &[Probe::Undo(without_strangers)],
};

/// Where the platform's pairs stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    Query,
}

/// The pairs of a request.
struct Carried<'r> {
    place: Place,
    form: Form<'r>,
}

fn without_strangers(case: &Case<'_>) -> Vec<Undo> {
    let Some(rejection) = case.rejection() else { return Vec::new() };
    let mut undone = behind_second_mark(case);
    undone.extend(members::without_strangers(case));
    let Some(carried) = Carried::of(&case.request) else { return undone };
    undone.extend(carried.named(case));
    undone.extend(carried.twins(case, rejection));
    undone.extend(carried.also_in_query(case));
    if matches!(rejection, Rejection::Signature) {
        undone.extend(carried.tried(case));
    }
    undone
}

/// A platform that writes `?` before its pairs, whatever the URL has: `/notify?act=pay?pid=1001&…`.
fn behind_second_mark(case: &Case<'_>) -> Vec<Undo> {
    let Some((own, query)) = case.request.query.as_deref().and_then(|query| query.split_once('?')) else {
        return Vec::new();
    };
    let request = RawRequest { query: Some(query.to_owned()), ..case.request.clone() };
    let names = Form::parse(own.as_bytes(), LIMITS).map(|form| names(form.pairs().iter())).unwrap_or_default();
    vec![Undo::traced(Otherwise::Request(request), vec![("parameter", names)])]
}

impl<'r> Carried<'r> {
    /// The pairs of the body, or where there is none those of the query.
    fn of(request: &'r RawRequest) -> Option<Self> {
        let (place, bytes) = match &request.query {
            _ if !request.body.is_empty() => (Place::Body, request.body.as_ref()),
            Some(query) => (Place::Query, query.as_bytes()),
            None => return None,
        };
        // A document holds no pairs.
        if matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[' | b'<')) {
            return None;
        }
        let form = Form::parse(bytes, LIMITS).ok().filter(|form| form.pairs().len() > 1)?;
        Some(Self { place, form })
    }

    /// What each refusal names, left out until none names another.
    fn named(&self, case: &Case<'_>) -> Vec<Undo> {
        let mut left_out: Vec<usize> = Vec::new();
        let mut rejection = case.rejection().cloned();
        while let Some(found) = rejection.take().and_then(|rejection| self.stranger(&rejection, &left_out)) {
            left_out.push(found);
            if left_out.len() == STRANGERS_MAX {
                break;
            }
            let outcome = case.outcome_of(&self.without(case, &left_out), case.now);
            rejection = match outcome {
                Some((Outcome::Refused(rejection), _)) => Some(rejection),
                _ => None,
            };
        }
        if left_out.is_empty() { Vec::new() } else { vec![self.undo(case, &left_out, true)] }
    }

    /// The pair that a refusal calls a stranger: one that is not signed, or of a name that no platform writes.
    fn stranger(&self, rejection: &Rejection, but: &[usize]) -> Option<usize> {
        let is_odd = |name: &[u8]| !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let (field, only_odd) = match rejection {
            Rejection::Unsigned { field } => (field, false),
            Rejection::Malformed { field } => (field, true),
            _ => return None,
        };
        let is_meant = |pair: &Pair<'_>| quote(&String::from_utf8_lossy(&pair.name)) == *field;
        let mut pairs = self.form.pairs().iter().enumerate();
        let found = pairs.find(|(at, pair)| !but.contains(at) && is_meant(pair) && (!only_odd || is_odd(&pair.name)));
        found.map(|(at, _)| at)
    }

    /// A name that is there twice: what repeats a pair as it is, then the first, then the last of that name.
    fn twins(&self, case: &Case<'_>, rejection: &Rejection) -> Vec<Undo> {
        let Rejection::Duplicate { field } = rejection else { return Vec::new() };
        let pairs = self.form.pairs();
        let is_repeated = |at: &usize| {
            let [pair, before] = [&pairs[*at..=*at], &pairs[..*at]];
            before.iter().any(|other| other.name == pair[0].name && other.value == pair[0].value)
        };
        let repeated: Vec<usize> = (0..pairs.len()).filter(is_repeated).collect();
        let is_named = |pair: &Pair<'_>| quote(&String::from_utf8_lossy(&pair.name)).eq_ignore_ascii_case(field);
        let first = pairs.iter().position(is_named);
        let last = pairs.iter().rposition(is_named);
        let sets = [repeated, first.into_iter().collect(), last.into_iter().collect()];
        sets.iter().filter(|set| !set.is_empty()).map(|set| self.undo(case, set, true)).collect()
    }

    /// A form in which pairs of the URL's query stand, too.
    fn also_in_query(&self, case: &Case<'_>) -> Vec<Undo> {
        let Some(query) = case.request.query.as_deref().filter(|_| self.place == Place::Body) else {
            return Vec::new();
        };
        let Ok(query) = Form::parse(query.as_bytes(), LIMITS) else { return Vec::new() };
        let is_there =
            |pair: &Pair<'_>| query.pairs().iter().any(|other| other.name == pair.name && other.value == pair.value);
        let pairs = self.form.pairs().iter().enumerate();
        let set: Vec<usize> = pairs.filter(|(_, pair)| is_there(pair)).map(|(at, _)| at).collect();
        if set.is_empty() || set.len() == self.form.pairs().len() {
            return Vec::new();
        }
        vec![self.undo(case, &set, true)]
    }

    /// Without a trace: what stands before or behind everything else, and where a check is cheap each pair.
    fn tried(&self, case: &Case<'_>) -> Vec<Undo> {
        let count = self.form.pairs().len();
        let mut sets: Vec<Vec<usize>> = vec![vec![0], vec![count - 1]];
        let is_cheap = !case.trials.is_empty() && case.trials.iter().all(|trial| !trial.is_public_key);
        if is_cheap && (4..=EACH_MAX).contains(&count) {
            sets.extend([vec![0, 1], vec![count - 2, count - 1]]);
            sets.extend((1..count - 1).map(|at| vec![at]));
        }
        sets.iter().map(|set| self.undo(case, set, false)).collect()
    }

    fn undo(&self, case: &Case<'_>, left_out: &[usize], is_traced: bool) -> Undo {
        let otherwise = Otherwise::Request(self.without(case, left_out));
        let pairs = self.form.pairs().iter().enumerate();
        let facts = vec![("parameter", names(pairs.filter(|(at, _)| left_out.contains(at)).map(|(_, pair)| pair)))];
        Undo { otherwise, facts, is_traced }
    }

    /// The request without these pairs, every other byte as it came.
    fn without(&self, case: &Case<'_>, left_out: &[usize]) -> RawRequest {
        let pairs = self.form.pairs().iter().enumerate();
        let pairs = written(pairs.filter(|(at, _)| !left_out.contains(at)).map(|(_, pair)| pair));
        match self.place {
            Place::Body => RawRequest { body: Bytes::from(pairs), ..case.request.clone() },
            Place::Query => {
                let query = Some(String::from_utf8_lossy(&pairs).into_owned());
                RawRequest { query, ..case.request.clone() }
            }
        }
    }
}

/// Names for people.
fn names<'p>(pairs: impl Iterator<Item = &'p Pair<'p>>) -> String {
    let shown: Vec<String> = pairs.take(NAMED_MAX).map(|pair| quote(&String::from_utf8_lossy(&pair.name))).collect();
    shown.join(", ")
}
