//! Names of parameters: the merchant's own, and those that two readers could take for others.

use super::*;

#[test]
fn a_parameter_of_the_merchants_own_is_refused_by_name_unless_it_is_known() {
    let query = String::from_utf8(encoded(&sealed_v1(usual()))).unwrap();
    let named = v1().with("ignored_parameters", texts(&["act", "channel"]));
    let plain = genuine(&v1(), &get_raw(&query));
    for own in
        [format!("act=notify&{query}"), format!("{query}&act=x%26money%3D9"), format!("act=&{query}&channel=epay")]
    {
        let request = get_raw(&own);
        if !own.starts_with("act=&") {
            assert_eq!(refused(&v1(), &request), Rejection::Unsigned { field: "act".into() }, "{own}");
        }
        assert_eq!(genuine(&named, &request), plain, "{own}");
        let fields = build(&named).unwrap().fields(&request);
        assert!(fields.iter().all(|(name, _)| name != "act" && name != "channel"), "{fields:?}");
        assert_eq!(fields.len(), 10);
    }
    // Without the true signature it is no more than a bad one, and twice is twice.
    let forged = query.replace("money=1.00", "money=9.00");
    assert_eq!(refused(&v1(), &get_raw(&format!("act=notify&{forged}"))), Rejection::Signature);
    assert!(matches!(refused(&named, &get_raw(&format!("act=1&act=2&{query}"))), Rejection::Duplicate { .. }));
    // Beside a form the address says nothing, and does not go on to anybody.
    for beside in ["act=notify", "money=9.00", &query] {
        let form = RawRequest { query: Some(beside.into()), ..post(&sealed_v1(usual())) };
        assert_eq!(genuine(&v1(), &form), plain, "{beside}");
        assert_eq!(build(&v1()).unwrap().signed_query(&form), None);
    }
}

#[test]
fn no_field_of_the_platform_can_be_given_away() {
    for (names, word) in [
        (vec!["money"], "relation"),
        (vec!["Money"], "relation"),
        (vec!["act", "sign"], "relation"),
        (vec!["timestamp"], "relation"),
        (vec!["trade.status"], "malformed"),
        (vec!["a b"], "malformed"),
        (vec![""], "malformed"),
        (vec!["a[]"], "malformed"),
        (vec![], "empty_list"),
        (vec!["a"; 17], "out_of_range"),
    ] {
        let error = build(&v1().with("ignored_parameters", texts(&names))).err().unwrap();
        assert_eq!((error.setting, error.word), ("ignored_parameters", word), "{names:?}");
    }
}

#[test]
fn names_that_two_readers_could_take_for_others_are_refused() {
    let query = String::from_utf8(encoded(&sealed_v1(usual()))).unwrap();
    for (added, word) in [
        ("&money=1.00", "duplicate_field"),
        ("&%6doney=9", "duplicate_field"),
        ("&MONEY=9", "duplicate_field"),
        ("&trade.status=", "malformed"),
        ("&trade+status=", "malformed"),
        ("&money%5B%5D=", "malformed"),
        ("&money%00x=", "malformed"),
        ("&=1", "malformed"),
        ("&a%3Db=1", "malformed"),
        ("&a=%", "malformed"),
        ("&%E4%B8%AD=", "malformed"),
    ] {
        assert_eq!(refused(&v1(), &get_raw(&format!("{query}{added}"))).word(), word, "{added}");
    }
}
