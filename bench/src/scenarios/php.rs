//! What merchants run today, beside the gateway: nginx + PHP-FPM with a database behind the script.

use anyhow::Context as _;

use super::{Accepted, Bench, TOLLBELL, check_rows, measure, measure_range, sample};
use crate::load::{Plan, Requests, Way};
use crate::references::{Database, Kind, Nginx, Pool, PoolSetup};
use crate::report::{Bound, say};

/// The connections of all of it.
const CONNECTIONS: usize = 64;
/// The pools that are tried first: children, and connections that nginx keeps. A kept connection holds a child, so
/// with fewer children than clients none is kept.
const CHOICES: &[Choice] = &[
    Choice { children: 4, kept: 0 },
    Choice { children: 8, kept: 0 },
    Choice { children: 16, kept: 0 },
    Choice { children: 32, kept: 0 },
    Choice { children: CONNECTIONS, kept: CONNECTIONS },
];
/// Requests that tell which pool is the fastest.
const TRIAL: usize = 1_500;
/// It is that much slower than the gateway, and is measured with as many requests fewer.
const SLOWER: usize = 10;

/// How a pool is sized.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) children: usize,
    pub(super) kept: usize,
}

/// All parts of it.
pub(super) struct Stack {
    pub(super) nginx: Nginx,
    pool: Pool,
    pub(super) database: Database,
}

impl Stack {
    /// With the pool that is the fastest with this database.
    pub(super) fn start(bench: &mut Bench<'_>, kind: Kind) -> anyhow::Result<Self> {
        let choice = fastest(bench, kind)?;
        let database = Database::start(kind, &bench.args.folder)?;
        Self::before(bench, kind, database, choice)
    }

    fn before(bench: &mut Bench<'_>, kind: Kind, database: Database, choice: Choice) -> anyhow::Result<Self> {
        let key = bench.alipay()?.channel.public_key_pem()?;
        let setup = PoolSetup { children: choice.children, database: Some(database.socket.clone()) };
        let pool = Pool::start(&setup, &[("notify.php", kind.script()), ("alipay_public.pem", &key)])?;
        let nginx = Nginx::start(&pool, &pool.root.join("notify.php"), choice.kept)?;
        Ok(Self { nginx, pool, database })
    }

    /// The roots of its process trees.
    pub(super) fn pids(&self) -> [u32; 3] {
        [self.nginx.running.pid, self.pool.running.pid, self.database.running.pid]
    }
}

/// Tries the pools once.
fn fastest(bench: &mut Bench<'_>, kind: Kind) -> anyhow::Result<Choice> {
    if let Some(known) = bench.pools.get(&kind) {
        return Ok(*known);
    }
    let alipay = bench.alipay()?;
    let requests = Requests::new("/notify.php", Way::Kept, &alipay.callbacks[..super::WARM_UP + TRIAL]);
    let mut found: Vec<(f64, Choice)> = Vec::new();
    let mut database = Database::start(kind, &bench.args.folder)?;
    for choice in CHOICES {
        let stack = Stack::before(bench, kind, database, *choice)?;
        let plan = Plan::closed(stack.nginx.address, CONNECTIONS);
        let (measured, _) = measure(&stack.pids(), &plan, &requests, TRIAL)?;
        let Choice { children, kept } = choice;
        say(&format!("  {} | {children} children, {kept} kept: {:.0} per second", kind.name(), measured.rate()));
        found.push((measured.rate(), *choice));
        database = stack.database;
        database.empty()?;
    }
    let best = found.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).context("no pool was tried")?.1;
    bench.pools.insert(kind, best);
    Ok(best)
}

/// How many requests the stack is measured with.
pub(super) fn count(bench: &Bench<'_>) -> usize {
    bench.args.requests / SLOWER
}

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    beside(bench, Kind::MariaDb)?;
    let (kept, new) = (name(Kind::MariaDb, Way::Kept), name(Kind::MariaDb, Way::New));
    let php = Kind::MariaDb.name();
    let report = &mut bench.report;
    let found = report.ratio((&kept, TOLLBELL), (&kept, php), "per_second");
    report.due("accept of nginx + PHP-FPM + MariaDB, kept alive", found, Bound::AtLeast(12.0), Some(17.0));
    let found = report.ratio((&new, TOLLBELL), (&new, php), "per_second");
    report.due("accept of nginx + PHP-FPM + MariaDB, new connections", found, Bound::AtLeast(8.0), Some(12.0));
    let found = report.ratio((&kept, TOLLBELL), (&kept, php), "cpu_us");
    report.due(
        "CPU per accepted notification of PHP's process tree",
        found,
        Bound::AtMost(1.0 / 16.0),
        Some(1.0 / 26.0),
    );
    Ok(())
}

pub(super) fn run_redis(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    beside(bench, Kind::Redis)
}

fn name(kind: Kind, way: Way) -> String {
    let database = match kind {
        Kind::MariaDb => "MariaDB",
        Kind::Redis => "Redis",
    };
    format!("beside PHP with {database}, {CONNECTIONS} {}", way.word())
}

fn beside(bench: &mut Bench<'_>, kind: Kind) -> anyhow::Result<()> {
    let stack = Stack::start(bench, kind)?;
    let alipay = bench.alipay()?;
    let count = count(bench);
    for round in 0..bench.args.rounds() {
        for way in [Way::Kept, Way::New] {
            stack.database.empty()?;
            let requests = Requests::new("/notify.php", way, &alipay.callbacks[..super::WARM_UP + count]);
            let plan = Plan::closed(stack.nginx.address, CONNECTIONS);
            super::warm_up(&plan, &requests)?;
            let range = super::WARM_UP..super::WARM_UP + count;
            let (measured, cpu_us) = measure_range(&stack.pids(), &plan, &requests, range)?;
            check_rows(stack.database.stored()?, count + super::WARM_UP)?;
            bench.report.add(sample(&name(kind, way), kind.name(), round, &measured, cpu_us));

            let Accepted { measured, cpu_us, .. } = bench.accept(CONNECTIONS, way)?;
            bench.report.add(sample(&name(kind, way), TOLLBELL, round, &measured, cpu_us));
        }
    }
    Ok(())
}
