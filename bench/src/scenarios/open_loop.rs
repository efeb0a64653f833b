//! At half of the highest rate, requests leave when they are planned, whatever the replies do: what a platform
//! would see on a normal day, with the stalls.

use super::{Accepted, Bench, TOLLBELL, WARM_UP, check_rows, measure_range, php, sample, warm_up};
use crate::load::{Measured, Plan, Requests, Way};
use crate::references::Kind;
use crate::report::{Bound, Sample};
use crate::servers::Gateway;

const SCENARIO: &str = "half of the highest rate, open loop";
const CONNECTIONS: usize = 64;
/// Connections for planned requests: so many that none waits for a connection before a stall of many milliseconds.
const OPEN_CONNECTIONS: usize = 256;

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let alipay = bench.alipay()?;
    let requests = Requests::new(&alipay.channel.path(), Way::Kept, &alipay.callbacks);
    let stack = php::Stack::start(bench, Kind::MariaDb)?;
    let php_requests = Requests::new("/notify.php", Way::Kept, &alipay.callbacks);
    let (count, php_count) = (bench.count(CONNECTIONS), php::count(bench));
    for round in 0..bench.args.rounds() {
        let Accepted { measured, .. } = bench.accept(CONNECTIONS, Way::Kept)?;
        let gateway = Gateway::start(&bench.setup(&[&alipay]))?;
        let plan = open(&Plan::closed(gateway.address, OPEN_CONNECTIONS), &measured);
        warm_up(&plan, &requests)?;
        let (measured, cpu_us) = measure_range(&[gateway.pid()?], &plan, &requests, WARM_UP..WARM_UP + count)?;
        check_rows(gateway.stored()?, count + WARM_UP)?;
        bench.report.add(with_stalls(sample(SCENARIO, TOLLBELL, round, &measured, cpu_us), &measured));

        stack.database.empty()?;
        let closed = Plan::closed(stack.nginx.address, CONNECTIONS);
        warm_up(&closed, &php_requests)?;
        let range = WARM_UP..WARM_UP + php_count;
        let (measured, _) = measure_range(&stack.pids(), &closed, &php_requests, range.clone())?;
        stack.database.empty()?;
        let plan = open(&closed, &measured);
        warm_up(&plan, &php_requests)?;
        let (measured, cpu_us) = measure_range(&stack.pids(), &plan, &php_requests, range)?;
        check_rows(stack.database.stored()?, php_count + WARM_UP)?;
        bench.report.add(with_stalls(sample(SCENARIO, Kind::MariaDb.name(), round, &measured, cpu_us), &measured));
    }
    let report = &mut bench.report;
    let found = report.median((SCENARIO, TOLLBELL), "p99_ms");
    report.due("open loop: p99 in ms", found, Bound::AtMost(6.0), Some(3.2));
    let found = report.ratio((SCENARIO, TOLLBELL), (SCENARIO, Kind::MariaDb.name()), "p99_ms");
    report.due("open loop: p99 of PHP's p99 at half of its own rate", found, Bound::AtMost(1.0), None);
    let found = report.median((SCENARIO, TOLLBELL), "max_ms");
    report.due("open loop: longest stall in ms", found, Bound::AtMost(30.0), Some(66.0));
    Ok(())
}

fn open(plan: &Plan, fastest: &Measured) -> Plan {
    Plan { rate: Some(fastest.rate() / 2.0), ..plan.clone() }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn with_stalls(sample: Sample, measured: &Measured) -> Sample {
    sample.with("p999_ms", measured.percentile(99.9)).with("over_30_ms", measured.stalls() as f64)
}
