//! Backups that are restored, and those that are not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;

use super::world::{
    NOBODY, OPERATOR, Shop, ask, audit, bearer, delivered, ended, failed_with, lonely, metrics, pay, told,
};
use crate::support::gateway::{World, get, wait_for};

#[test]
fn a_restored_inbox_goes_on_where_the_backup_was_and_says_what_is_missing() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "KEPT-1");
    delivered(&world, 1);
    shop.mode("bad");
    pay(&mut world, "OPEN-1");
    wait_for("a try", || shop.runs().iter().any(|run| run.starts_with("OPEN-1")).then_some(()));
    let open_id = world.events()[1]["id"].as_str().unwrap().to_owned();
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    shop.mode("good");
    pay(&mut world, "LOST-1");
    wait_for("the lost one to be delivered", || shop.runs().iter().any(|run| run.starts_with("LOST-1")).then_some(()));
    let lost = world.payment("LOST-2", 1000);
    assert_eq!(world.send(&lost).unwrap().body, b"success");
    wait_for("its delivery", || shop.runs().iter().any(|run| run.starts_with("LOST-2")).then_some(()));
    let lost_id = world.events()[3]["id"].as_str().unwrap().to_owned();

    let restore = ["restore", copy.to_str().unwrap()];
    failed_with(&world.cli(&restore), &["a gateway serves from it. Stop it first"]);
    failed_with(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]), &["a gateway serves from it"]);
    ended(gateway);
    failed_with(&world.cli(&restore), &["it holds something. --force keeps it"]);
    assert_eq!(world.events().len(), 4, "untouched");
    let said = told(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]));
    for part in ["The old inbox is kept as ", ".replaced-", "Gap 1, open", "`tollbell gaps` says what to do"] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    let kept: Vec<PathBuf> = fs::read_dir(world.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.display().to_string().contains("tollbell.db.replaced-"))
        .collect();
    assert_eq!(kept.len(), 1, "the old inbox is one file: {kept:?}");
    assert_eq!(fs::metadata(&kept[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let old = Connection::open(&kept[0]).unwrap();
    let count: i64 = old.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 4, "everything that was in the log is in it");
    drop(old);
    assert_eq!(fs::metadata(world.path("tollbell.db")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!world.path("tollbell.db.restoring").exists());

    // It says so before and after the start, everywhere.
    let said = String::from_utf8(world.cli(&["check"]).stderr).unwrap();
    assert!(said.contains("warning: `inbox`: Gap 1, open"), "{said}");
    let runs_before = shop.runs().len();
    let _gateway = world.start();
    assert!(world.log().contains("callbacks of this time may be missing"), "{}", world.log());
    assert!(metrics(&world).contains("tollbell_open_gaps 1\n"));
    let (name, value) = bearer(OPERATOR);
    assert!(ask(&world, "GET", "/readyz", &[(name, &value)], "").text().contains("gap 1: callbacks from "));
    assert_eq!(get(world.admin, "/readyz").unwrap().text(), "ready\n", "its callbacks are wanted all the same");
    assert_eq!(world.json(&["status"])[0]["open_gaps"][0]["id"], 1);
    let gaps = world.json(&["gaps"]);
    assert!(gaps[0]["from"].as_str().unwrap() < gaps[0]["to"].as_str().unwrap(), "{gaps:?}");
    assert!(told(&world.cli(&["gaps"])).contains("tollbell gaps close 1 --why"));

    // What was open goes out again under its old id; what came after is gone, and comes back under a new one.
    delivered(&world, 2);
    assert!(shop.runs()[runs_before..].contains(&format!("OPEN-1 {open_id}")), "{:?}", shop.runs());
    assert_eq!(world.events().len(), 2);
    assert_eq!(world.send(&lost).unwrap().body, b"success", "the platform was asked to send it again");
    delivered(&world, 3);
    let again = world.events()[2]["id"].as_str().unwrap().to_owned();
    assert_ne!(again, lost_id);
    let ids: Vec<String> = shop.runs().iter().filter(|run| run.starts_with("LOST-2")).cloned().collect();
    assert_eq!(ids, [format!("LOST-2 {lost_id}"), format!("LOST-2 {again}")]);

    failed_with(&world.cli(&["gaps", "close", "1"]), &["gaps close ID --why"]);
    failed_with(&world.cli(&["gaps", "close", "9", "--why", "x"]), &["find gap 9"]);
    let said = told(&world.cli(&["gaps", "close", "1", "--why", "compared with the bill of the day"]));
    assert!(said.contains("Gap 1, closed ") && said.contains("compared with the bill of the day"), "{said}");
    assert!(metrics(&world).contains("tollbell_open_gaps 0\n"));
    assert!(world.json(&["status"])[0]["open_gaps"].as_array().unwrap().is_empty());
    let audit = audit(&world);
    assert!(audit.iter().any(|(who, what)| who == "cli" && what.starts_with("restore from ")), "{audit:?}");
    let closing = ("uid:0".to_owned(), "close gap 1: compared with the bill of the day".to_owned());
    assert_eq!(audit.last().unwrap(), &closing);
    let once_more = world.json(&["gaps", "close", "1", "--why", "again"]);
    assert_eq!(once_more[0]["closed"]["why"], "compared with the bill of the day", "closed once");
}

#[test]
fn a_restore_to_nothing_needs_no_force() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "MOVE-1");
    delivered(&world, 1);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    for name in ["tollbell.db", "tollbell.db-wal", "tollbell.db-shm"] {
        let _maybe = fs::remove_file(world.path(name));
    }
    // A log without its database, as a careless move leaves it: it must not be played into the backup.
    fs::write(world.path("tollbell.db-wal"), [7u8; 4096]).unwrap();
    let value = world.json(&["restore", copy.to_str().unwrap()]);
    assert_eq!(value[0]["kept"], Value::Null);
    assert_eq!(world.events().len(), 1);
    let _gateway = world.start();
    assert_eq!(get(world.admin, "/readyz").unwrap().text(), "ready\n");
}

/// What must not be restored, and what is said about it.
fn bad_backups(world: &World, good: &Path) -> Vec<(PathBuf, &'static str)> {
    let bytes = fs::read(good).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = world.path(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let changed = |name: &str, sql: &str| {
        let path = write(name, &bytes);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    let foreign = world.path("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE songs (id INTEGER)").unwrap();
    let mut torn = bytes.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 8192].fill(0x5a);
    let logged = write("logged.db", &bytes);
    write("logged.db-wal", b"more");
    vec![
        (write("cut.db", &bytes[..bytes.len() / 2]), "no whole backup"),
        (write("cut-in-a-page.db", &bytes[..bytes.len() - 100]), "no whole backup"),
        (write("torn.db", &torn), "no whole backup"),
        (write("empty.db", b""), "no whole backup"),
        (
            write("text.db", b"this is no database at all, and long enough to be looked at by whoever reads it"),
            "no whole backup",
        ),
        (foreign, "no whole backup"),
        (changed("newer.db", "INSERT INTO migrations VALUES (9999, 'x')"), "newer tollbell (schema 9999"),
        (changed("other.db", "UPDATE migrations SET checksum = 'x' WHERE number = 1"), "was changed after"),
        (
            changed("trigger.db", "CREATE TRIGGER t AFTER INSERT ON deliveries BEGIN DELETE FROM deliveries; END"),
            "`t` is not as this program makes it",
        ),
        (changed("lacking.db", "DROP TABLE attempts"), "`attempts` is not as this program makes it"),
        (logged, "stands beside it"),
        (world.path("tollbell.db"), "it is the inbox itself"),
        (world.folder.path().to_owned(), "it is no file"),
        (world.path("nowhere.db"), "nowhere.db"),
    ]
}

#[test]
fn what_is_no_whole_backup_leaves_the_inbox_untouched() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    for n in 0..20 {
        pay(&mut world, &format!("SAFE-{n}"));
    }
    delivered(&world, 20);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    let before = fs::read(world.path("tollbell.db")).unwrap();
    for (file, said) in bad_backups(&world, &copy) {
        let output = world.cli(&["restore", file.to_str().unwrap(), "--force"]);
        assert!(!output.status.success(), "{} was restored", file.display());
        failed_with(&output, &["failed to restore ", said]);
        assert_eq!(fs::read(world.path("tollbell.db")).unwrap(), before, "{} changed the inbox", file.display());
        assert!(!world.path("tollbell.db.restoring").exists(), "{}", file.display());
    }
    let names: Vec<String> = fs::read_dir(world.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("replaced"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
    // Another command that has it open would write a log of its own later.
    let reader = Connection::open(world.path("tollbell.db")).unwrap();
    let _count: i64 = reader.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    let output = world.cli(&["restore", copy.to_str().unwrap(), "--force"]);
    failed_with(&output, &["another command has it open"]);
    drop(reader);
    assert_eq!(world.events().len(), 20);
}

#[test]
fn an_inbox_that_cannot_be_read_is_kept_and_replaced() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "WRECK-1");
    delivered(&world, 1);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    let wreck = vec![0x5a; 65_536];
    fs::write(world.path("tollbell.db"), &wreck).unwrap();
    fs::write(world.path("tollbell.db-wal"), [0x5a; 4096]).unwrap();
    for name in ["tollbell.db", "tollbell.db-wal"] {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    failed_with(&world.cli(&["restore", copy.to_str().unwrap()]), &["--force"]);
    let kept = world.json(&["restore", copy.to_str().unwrap(), "--force"]);
    let kept = PathBuf::from(kept[0]["kept"].as_str().unwrap());
    assert_eq!(fs::read(&kept).unwrap(), wreck, "somebody may still want to mend it");
    let log = PathBuf::from(format!("{}-wal", kept.display()));
    assert_eq!(fs::read(log).unwrap(), [0x5a; 4096]);
    assert_eq!(world.events().len(), 1);
    let _gateway = world.start();
}

#[test]
fn a_backup_of_an_older_schema_is_brought_up_to_this_one() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "AGE-1");
    delivered(&world, 1);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    let before_gaps = "DROP TABLE gaps; DELETE FROM migrations WHERE number = 4";
    Connection::open(&copy).unwrap().execute_batch(before_gaps).unwrap();
    told(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]));
    assert_eq!(world.events().len(), 1);
    assert_eq!(world.json(&["gaps"])[0]["why"], "restored");
    // As the program before this one left it.
    fs::copy(&copy, world.path("tollbell.db")).unwrap();
    assert!(world.cli(&["check"]).status.success(), "no table of gaps is no gap");
}

#[test]
fn root_restores_for_the_user_that_the_inbox_belongs_to() {
    let nobody: u32 = NOBODY.parse().unwrap();
    let world = lonely();
    let gateway = world.start();
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    let owner = |name: &str| std::os::unix::fs::MetadataExt::uid(&fs::metadata(world.path(name)).unwrap());
    std::os::unix::fs::chown(world.path("tollbell.db"), Some(nobody), Some(nobody)).unwrap();
    told(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]));
    assert_eq!((owner("tollbell.db"), owner("tollbell.db.lock")), (nobody, nobody));
    // On a machine where nothing was yet, the folder says whose it is.
    for name in ["tollbell.db", "tollbell.db.lock"] {
        fs::remove_file(world.path(name)).unwrap();
    }
    std::os::unix::fs::chown(world.folder.path(), Some(nobody), Some(nobody)).unwrap();
    told(&world.cli(&["restore", copy.to_str().unwrap()]));
    assert_eq!((owner("tollbell.db"), owner("tollbell.db.lock")), (nobody, nobody));
}

/// More calls of one kind than a restore makes; a sweep that gets here is broken.
const SWEEP_MAX: usize = 300;

#[test]
fn a_restore_that_is_killed_leaves_the_old_inbox_or_the_new_one() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "OLD-1");
    delivered(&world, 1);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    pay(&mut world, "OLD-2");
    delivered(&world, 2);
    // With a log beside it, as a power cut leaves it.
    let payment = world.payment("OLD-3", 1000);
    assert_eq!(world.send(&payment).unwrap().body, b"success");
    let mut gateway = gateway;
    gateway.kill_hard();
    let names = ["tollbell.db", "tollbell.db-wal"];
    let before: Vec<Vec<u8>> = names.iter().map(|name| fs::read(world.path(name)).unwrap()).collect();
    assert!(!before[1].is_empty(), "there is no log, so that nothing is shown");
    let (mut kills, mut olds, mut news) = (0, 0, 0);
    for calls in ["fsync,fdatasync", "rename,renameat,renameat2", "link,linkat", "unlink,unlinkat", "ftruncate"] {
        for k in 1..SWEEP_MAX {
            for entry in fs::read_dir(world.folder.path()).unwrap() {
                let path = entry.unwrap().path();
                if path.display().to_string().contains("/tollbell.db") {
                    fs::remove_file(path).unwrap();
                }
            }
            for (name, bytes) in names.iter().zip(&before) {
                fs::write(world.path(name), bytes).unwrap();
                fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o600)).unwrap();
            }
            let output = Command::new("strace")
                .args(["-f", "-qq", "-E", "TOKIO_WORKER_THREADS=1", "-o", "/dev/null", "-e", &format!("trace={calls}")])
                .args(["-e", &format!("inject={calls}:signal=KILL:when={k}")])
                .arg(env!("CARGO_BIN_EXE_tollbell"))
                .args(["--config", world.path("tollbell.toml").to_str().unwrap(), "restore"])
                .args([copy.to_str().unwrap(), "--force"])
                .output()
                .unwrap();
            let orders: Vec<String> =
                world.events().iter().map(|event| event["data"]["order_no"].as_str().unwrap().to_owned()).collect();
            match orders.len() {
                3 => olds += 1,
                1 => news += 1,
                _ => panic!("{calls} {k}: {orders:?}"),
            }
            assert_eq!(orders[0], "OLD-1");
            let conn = Connection::open(world.path("tollbell.db")).unwrap();
            let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok", "{calls} {k}");
            let gaps: i64 = conn.query_row("SELECT count(*) FROM gaps", [], |row| row.get(0)).unwrap();
            assert_eq!(gaps == 1, orders.len() == 1, "{calls} {k}: the new one has its gap, the old one none");
            if output.status.success() {
                break;
            }
            kills += 1;
            assert!(k + 1 < SWEEP_MAX, "`{calls}` is still reached at call {k}");
        }
    }
    assert!(kills >= 10 && olds >= 5 && news >= 1, "{kills} kills, {olds} times the old one, {news} times the new one");
    // Whatever a killed one left, the next one succeeds and the node serves.
    told(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]));
    let _gateway = world.start();
    assert_eq!(world.events().len(), 1);
}
