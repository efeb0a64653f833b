//! Names that lead inside, and URLs that somebody else chose.

use std::sync::atomic::Ordering;

use tollbell::egress::{Class, ClientSettings, Egress, EgressError, Guard, PublicRules, Roots, UrlFault};

use super::world::{Answering, Invented, Server, get, ok, url};

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_it_is_dialled() {
    let server = Server::new(Answering::Close(ok("x"))).await;
    let network = Invented::new(
        server.address,
        &[
            ("loopback.example", &["127.0.0.1"]),
            ("mapped.example", &["::ffff:10.0.0.1"]),
            ("metadata.example", &["169.254.169.254"]),
            ("nat64.example", &["64:ff9b::a9fe:a9fe"]),
            ("inside.example", &["192.168.0.1", "fd00::1"]),
        ],
    );
    let public = network.egress(Guard::Public(PublicRules { plain_http: true, ports: &[80] }), Roots::System);
    for (name, expected) in [
        ("loopback.example", Class::Loopback),
        ("mapped.example", Class::Private),
        ("metadata.example", Class::Metadata),
        ("nat64.example", Class::Translated),
        ("inside.example", Class::Private),
    ] {
        let error = get(&public, &format!("http://{name}/")).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused { class, .. } if class == expected), "{name}: {error:?}");
        assert!(!error.was_sent());
    }
    let own = network.egress(Guard::Operator, Roots::System);
    for name in ["metadata.example", "nat64.example"] {
        let error = get(&own, &format!("http://{name}/")).await.unwrap_err();
        assert_eq!(error.word(), "address_refused", "{name}");
    }
    assert_eq!(network.dialled(), Vec::<String>::new());
    get(&own, "http://inside.example/").await.unwrap();
    assert_eq!(network.dialled(), ["192.168.0.1:80"]);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let server = Server::new(Answering::Close(ok("x"))).await;
    let network = Invented::new(server.address, &[("rebind.example", &["8.8.8.8"])]);
    let public = network.egress(Guard::Public(PublicRules { plain_http: true, ports: &[80] }), Roots::System);
    get(&public, "http://rebind.example/").await.unwrap();
    assert_eq!(network.looked_up.load(Ordering::SeqCst), 1, "one look-up for one connection: nothing to race against");
    network.names.lock().unwrap()[0].1 = vec!["127.0.0.1".parse().unwrap()];
    assert_eq!(get(&public, "http://rebind.example/").await.unwrap_err().word(), "address_refused");
    assert_eq!(network.dialled(), ["8.8.8.8:80"]);
}

#[tokio::test]
async fn addresses_are_tried_in_their_order_and_bad_ones_passed_over() {
    let server = Server::new(Answering::Close(ok("x"))).await;
    let network = Invented::new(server.address, &[("many.example", &["10.0.0.1", "1.1.1.1", "8.8.8.8", "9.9.9.9"])]);
    let public = network.egress(Guard::Public(PublicRules { plain_http: true, ports: &[80] }), Roots::System);
    get(&public, "http://many.example/").await.unwrap();
    assert_eq!(network.dialled(), ["1.1.1.1:80", "8.8.8.8:80"]);
}

#[tokio::test]
async fn urls_that_did_not_come_from_the_operator_are_held_to_rules() {
    let public = Egress::new(ClientSettings::new(Guard::Public(PublicRules::HTTPS))).unwrap();
    for (text, fault) in [
        ("http://shop.example.com/", UrlFault::Plain),
        ("https://user@shop.example.com/", UrlFault::UserInfo),
        ("https://shop.example.com:25/", UrlFault::Port),
        ("https://shop.example.com:8443/", UrlFault::Port),
    ] {
        let error = get(&public, text).await.unwrap_err();
        assert!(matches!(error, EgressError::Url(found) if found == fault), "{text}: {error:?}");
    }
    for text in ["https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/"] {
        let error = public.check(&url(text)).unwrap_err();
        assert_eq!(error.word(), "address_refused", "{text}");
    }
    assert!(public.check(&url("https://1.1.1.1/")).is_ok());
    let wider = Egress::new(ClientSettings::new(Guard::Public(PublicRules::HTTPS_WEB_PORTS))).unwrap();
    assert!(wider.check(&url("https://shop.example.com:8443/")).is_ok());
}
