//! Other channels beside Alipay's, TLS beside plain, and `webhook` beside the channel that checks the same HMAC.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::CertificateDer;

use super::{Accepted, Bench, TOLLBELL, WARM_UP, check_rows, measure, now, sample};
use crate::bodies;
use crate::load::{Plan, Requests, Way};
use crate::references::Webhook;
use crate::report::{Bound, say};
use crate::servers::{Gateway, Setup};

const CONNECTIONS: usize = 64;
/// `webhook` starts a process for each request and is measured with as many fewer.
const SLOWER: usize = 20;

const ALIPAY: &str = "tollbell, Alipay (RSA2)";
const WECHAT: &str = "tollbell, WeChat Pay v3 (RSA and AES)";
const HMAC: &str = "tollbell, HMAC by configuration";

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "accept by channel, 64 kept";
    let count = bench.count(CONNECTIONS);
    let alipay = bench.alipay()?;
    let hmac = bodies::hmac(count + WARM_UP, now())?;
    for round in 0..bench.args.rounds() {
        // A time window of five minutes: signed for each round.
        say(&format!("  signing {} callbacks of WeChat Pay", count + WARM_UP));
        let wechat = bodies::wechat_pay(&bench.args.folder, count + WARM_UP, now())?;
        for (server, signed) in [(ALIPAY, &alipay), (WECHAT, &wechat), (HMAC, &hmac)] {
            let accepted: &'static [u8] = if server == WECHAT { b"" } else { b"success" };
            let gateway = Gateway::start(&bench.setup(&[signed]))?;
            let requests = Requests::new(&signed.channel.path(), Way::Kept, &signed.callbacks);
            let plan = Plan { accepted, ..Plan::closed(gateway.address, CONNECTIONS) };
            let (measured, cpu_us) = measure(&[gateway.pid()?], &plan, &requests, count)?;
            check_rows(gateway.stored()?, count + WARM_UP)?;
            bench.report.add(sample(SCENARIO, server, round, &measured, cpu_us));
        }
    }
    let report = &mut bench.report;
    let found = report.ratio((SCENARIO, WECHAT), (SCENARIO, ALIPAY), "per_second");
    report.due("accept of WeChat Pay v3 of Alipay's", found, Bound::AtLeast(0.8), None);
    let found = report.ratio((SCENARIO, HMAC), (SCENARIO, ALIPAY), "per_second");
    report.due("accept of an HMAC channel of Alipay's", found, Bound::AtLeast(1.3), None);
    Ok(())
}

pub(super) fn run_webhook(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "beside webhook, 64 kept";
    const WEBHOOK: &str = "webhook";
    let count = bench.count(CONNECTIONS);
    let hmac = bodies::hmac(count + WARM_UP, now())?;
    for round in 0..bench.args.rounds() {
        let server = Webhook::start(&bench.args.folder)?;
        let requests = Requests::new(Webhook::PATH, Way::Kept, &hmac.callbacks);
        let plan = Plan::closed(server.address, CONNECTIONS);
        let (measured, cpu_us) = measure(&[server.running.pid], &plan, &requests, count / SLOWER)?;
        bench.report.add(sample(SCENARIO, WEBHOOK, round, &measured, cpu_us));
        drop(server);
        let Accepted { measured, cpu_us, .. } = bench.accept_of(&hmac, CONNECTIONS, Way::Kept, count)?;
        bench.report.add(sample(SCENARIO, TOLLBELL, round, &measured, cpu_us));
    }
    Ok(())
}

pub(super) fn run_tls(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "accept over TLS, 64 kept";
    const PLAIN: &str = "tollbell, plain";
    const TLS: &str = "tollbell, TLS (ECDSA P-256)";
    let alipay = bench.alipay()?;
    let count = bench.count(CONNECTIONS);
    let requests = Requests::new(&alipay.channel.path(), Way::Kept, &alipay.callbacks);
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).context("make a certificate")?;
    let client = client(certified.cert.der())?;
    let pem = (certified.cert.pem(), certified.signing_key.serialize_pem());
    for round in 0..bench.args.rounds() {
        let Accepted { measured, cpu_us, .. } = bench.accept(CONNECTIONS, Way::Kept)?;
        bench.report.add(sample(SCENARIO, PLAIN, round, &measured, cpu_us));
        let gateway = Gateway::start(&Setup { tls: Some(pem.clone()), ..bench.setup(&[&alipay]) })?;
        let plan = Plan { tls: Some(client.clone()), ..Plan::closed(gateway.address, CONNECTIONS) };
        let (measured, cpu_us) = measure(&[gateway.pid()?], &plan, &requests, count)?;
        check_rows(gateway.stored()?, count + WARM_UP)?;
        bench.report.add(sample(SCENARIO, TLS, round, &measured, cpu_us));
    }
    let found = bench.report.ratio((SCENARIO, TLS), (SCENARIO, PLAIN), "per_second");
    bench.report.due("accept over TLS of plain", found, Bound::AtLeast(0.85), None);
    Ok(())
}

/// A client that trusts this certificate alone.
fn client(certificate: &CertificateDer<'static>) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
