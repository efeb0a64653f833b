//! Known faults, put into a copy of the program: a proof that does not notice them proves nothing.
//!
//! Each mutant is a patch in `proof/mutants/` and names the proof that has to notice it, and as what. The proof
//! first runs on the program as it is, where it has to hold. A patch that does not fit or does not build is
//! neither caught nor missed: it is to be made again from the sentence on its first line.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use crate::random::fresh_seed;

/// A fault.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name, which is also that of its patch.
    pub name: &'static str,
    /// What has to notice it.
    pub check: Check,
    /// What the proof has to say: the word of a broken promise, or the name of a test that fails.
    pub sign: &'static str,
}

/// A proof, as a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The crash proof.
    Crash,
    /// The power-loss proof.
    Power,
    /// A test of the program's own suite, for what no single process shows to the outside.
    Test,
}

/// Every mutant.
pub static MUTANTS: &[Mutant] = &[
    Mutant { name: "ack-before-commit", check: Check::Crash, sign: "lost" },
    Mutant { name: "synchronous-off", check: Check::Power, sign: "lost" },
    // A kill seldom falls between the two; the trace shows the order itself.
    Mutant { name: "answer-before-commit", check: Check::Power, sign: "early" },
    // One process never finishes under a lease that it has lost: it renews what still runs.
    Mutant { name: "finish-without-token", check: Check::Test, sign: "a_lease_that_ran_out_is_taken_over" },
    Mutant { name: "short-lease", check: Check::Crash, sign: "overlap" },
    Mutant { name: "read-then-insert", check: Check::Crash, sign: "doubled" },
    Mutant { name: "reused-event-id", check: Check::Crash, sign: "id" },
    Mutant { name: "order-ignored", check: Check::Crash, sign: "order" },
    Mutant { name: "any-signature", check: Check::Crash, sign: "forged" },
];

/// Kills of one try of the crash proof.
const KILLS: u64 = 50;
/// Tries, each with another seed: the harm is random, and so is what it hits.
const TRIES: u64 = 4;
/// What is not copied: builds, histories, environments.
const NOT_COPIED: &[&str] = &["target", ".git", ".venv", "node_modules"];

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tree that holds the program's source.
    pub source: PathBuf,
    /// The program built from it.
    pub program: PathBuf,
    /// The folder for copies and their builds.
    pub work: PathBuf,
    /// Only these mutants; all when empty.
    pub only: Vec<String>,
    /// The first seed; a fresh one by default.
    pub seed: Option<u64>,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Noticed, as what it is.
    Caught(String),
    /// Not noticed.
    Missed(String),
    /// It says nothing: the patch does not fit, the copy does not build, or the proof could not run.
    Spoiled(String),
}

/// The fates of all mutants.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// In the order of the list.
    pub fates: Vec<(&'static str, Fate)>,
}

impl Verdict {
    /// Whether every one was caught.
    pub fn holds(&self) -> bool {
        self.fates.iter().all(|(_, fate)| matches!(fate, Fate::Caught(_)))
    }

    /// Whether any says nothing.
    pub fn is_spoiled(&self) -> bool {
        self.fates.iter().any(|(_, fate)| matches!(fate, Fate::Spoiled(_)))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, fate) in &self.fates {
            let (word, how) = match fate {
                Fate::Caught(how) => ("caught", how),
                Fate::Missed(how) => ("MISSED", how),
                Fate::Spoiled(how) => ("SPOILED", how),
            };
            writeln!(f, "{name:<22} {word:<8} {how}")?;
        }
        let caught = self.fates.iter().filter(|(_, fate)| matches!(fate, Fate::Caught(_))).count();
        writeln!(f, "{caught} of {} mutants caught", self.fates.len())
    }
}

/// Makes, builds and tries every mutant.
///
/// # Errors
/// When a proof does not hold on the program as it is, or the copies cannot be made.
pub fn run(options: &Options, out: &mut dyn Write) -> anyhow::Result<Verdict> {
    let chosen: Vec<&Mutant> = MUTANTS
        .iter()
        .filter(|one| options.only.is_empty() || options.only.iter().any(|name| name == one.name))
        .collect();
    ensure!(!chosen.is_empty(), "no mutant is called so; there are: {}", names());
    let shop = Workshop::new(options)?;
    let mut baseline: BTreeMap<(Check, &str), Result<(), String>> = BTreeMap::new();
    let mut verdict = Verdict::default();
    for mutant in chosen {
        let began = Instant::now();
        writeln!(out, "{}: {}", mutant.name, shop.sentence(mutant)?)?;
        // The tests are one proof each; the others are one for all their mutants.
        let subject = if mutant.check == Check::Test { mutant.sign } else { "" };
        let proof = (mutant.check, subject);
        let sound = match baseline.entry(proof) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                shop.restore()?;
                unknown.insert(shop.holds_unchanged(mutant))
            }
        };
        let fate = match sound {
            Err(why) => Fate::Spoiled(format!("on the program as it is: {why}")),
            Ok(()) => shop.fate(mutant)?,
        };
        writeln!(out, "  {fate:?} after {} s", began.elapsed().as_secs())?;
        verdict.fates.push((mutant.name, fate));
    }
    shop.restore()?;
    Ok(verdict)
}

fn names() -> String {
    MUTANTS.iter().map(|one| one.name).collect::<Vec<_>>().join(", ")
}

/// The copy of the tree, and what is built from it.
struct Workshop<'o> {
    options: &'o Options,
    tree: PathBuf,
    built: PathBuf,
    prover: PathBuf,
    seed: u64,
}

impl<'o> Workshop<'o> {
    fn new(options: &'o Options) -> anyhow::Result<Self> {
        fs::create_dir_all(&options.work)?;
        let work = fs::canonicalize(&options.work)?;
        let built = work.join("built");
        if let Some(from) = options.program.parent().filter(|_| !built.exists()) {
            lend(from, &built.join("debug")).context("take over what was built of other crates")?;
        }
        Ok(Self {
            options,
            tree: work.join("tree"),
            built,
            prover: std::env::current_exe().context("find this program")?,
            seed: options.seed.unwrap_or_else(fresh_seed),
        })
    }

    fn patch(&self, mutant: &Mutant) -> PathBuf {
        self.options.source.join("proof/mutants").join(format!("{}.patch", mutant.name))
    }

    /// The patch's first line: what it breaks.
    fn sentence(&self, mutant: &Mutant) -> anyhow::Result<String> {
        let path = self.patch(mutant);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(text.lines().next().unwrap_or_default().trim_start_matches('#').trim().to_owned())
    }

    /// Makes the copy equal to the tree. Files that are equal keep their times, so that little is built again.
    fn restore(&self) -> anyhow::Result<()> {
        mirror(&self.options.source, &self.tree).context("copy the tree")
    }

    fn holds_unchanged(&self, mutant: &Mutant) -> Result<(), String> {
        let seed = self.seed;
        let run = || -> anyhow::Result<Said> {
            Ok(match mutant.check {
                Check::Crash | Check::Power => self.prove(mutant.check, &self.options.program, seed)?,
                Check::Test => self.test(mutant.sign)?,
            })
        };
        match run() {
            Ok(said) if said.code == Some(0) => Ok(()),
            Ok(said) => Err(format!("{} ended with {:?}: {}", said.what, said.code, said.end())),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    fn fate(&self, mutant: &Mutant) -> anyhow::Result<Fate> {
        self.restore()?;
        if let Err(error) = self.apply(mutant) {
            return Ok(Fate::Spoiled(format!("{error:#}")));
        }
        if mutant.check == Check::Test {
            return self.fate_by_test(mutant);
        }
        let build = self.cargo(&["build", "--quiet", "--bin", "tollbell"])?;
        if !build.status.success() {
            return Ok(Fate::Spoiled(format!("it does not build: {}", end_of(&build.stderr))));
        }
        let program = self.built.join("debug/tollbell");
        for number in 0..TRIES {
            let seed = self.seed.wrapping_add(number);
            let said = self.prove(mutant.check, &program, seed)?;
            match said.code {
                Some(0) => {}
                Some(1) if said.has_sign(mutant.sign) => {
                    return Ok(Fate::Caught(format!("by {}: {}", said.what, said.first_broken())));
                }
                Some(1) => {
                    let instead = said.first_broken();
                    return Ok(Fate::Missed(format!("{} said something else: {instead}", said.what)));
                }
                code => return Ok(Fate::Spoiled(format!("{} ended with {code:?}: {}", said.what, said.end()))),
            }
        }
        Ok(Fate::Missed(format!("{:?} held {TRIES} times, from seed {}", mutant.check, self.seed)))
    }

    fn fate_by_test(&self, mutant: &Mutant) -> anyhow::Result<Fate> {
        let build = self.cargo(&["test", "--quiet", "--lib", "--no-run", "-p", "tollbell"])?;
        if !build.status.success() {
            return Ok(Fate::Spoiled(format!("it does not build: {}", end_of(&build.stderr))));
        }
        let said = self.test(mutant.sign)?;
        Ok(match said.code {
            Some(0) => Fate::Missed(format!("{} held", said.what)),
            _ if said.text.contains(&format!("{} ... FAILED", mutant.sign)) => {
                Fate::Caught(format!("by the test {}", mutant.sign))
            }
            code => Fate::Spoiled(format!("{} ended with {code:?}: {}", said.what, said.end())),
        })
    }

    fn apply(&self, mutant: &Mutant) -> anyhow::Result<()> {
        let patch = fs::File::open(self.patch(mutant))?;
        let output = Command::new("patch")
            .args(["--strip=1", "--fuzz=3", "--batch", "--no-backup-if-mismatch", "--reject-file=-"])
            .current_dir(&self.tree)
            .stdin(patch)
            .output()
            .context("run patch(1)")?;
        ensure!(output.status.success(), "the patch does not fit: {}", end_of(&output.stdout));
        Ok(())
    }

    fn cargo(&self, args: &[&str]) -> anyhow::Result<Output> {
        Command::new("cargo")
            .args(args)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.built)
            .stdin(Stdio::null())
            .output()
            .context("run cargo")
    }

    fn prove(&self, check: Check, program: &Path, seed: u64) -> anyhow::Result<Said> {
        let (seed, kills) = (seed.to_string(), KILLS.to_string());
        let word = match check {
            Check::Crash => "crash",
            Check::Power => "power",
            Check::Test => bail!("a test is not run as a proof"),
        };
        let mut command = Command::new(&self.prover);
        command.arg(word).arg("--program").arg(program).args(["--seed", &seed]);
        if check == Check::Crash {
            command.args(["--kills", &kills, "--no-sweep"]);
        }
        let output = command.stdin(Stdio::null()).output().with_context(|| format!("run the proof {word}"))?;
        Ok(Said::new(format!("{word} --seed {seed}"), &output))
    }

    fn test(&self, name: &str) -> anyhow::Result<Said> {
        let output = self.cargo(&["test", "--lib", "-p", "tollbell", "--", name])?;
        let said = Said::new(format!("the test {name}"), &output);
        ensure!(!output.status.success() || !said.text.contains("running 0 tests"), "there is no test {name}");
        Ok(said)
    }
}

/// How a proof ended.
struct Said {
    what: String,
    code: Option<i32>,
    text: String,
}

impl Said {
    fn new(what: String, output: &Output) -> Self {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        Self { what, code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    fn broken(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter_map(|line| line.strip_prefix("BROKEN "))
    }

    /// Whether the proof named this promise, among others perhaps. Without a name any broken promise will do.
    fn has_sign(&self, sign: &str) -> bool {
        sign.is_empty() || self.broken().any(|broken| broken.starts_with(&format!("{sign}: ")))
    }

    fn first_broken(&self) -> String {
        const SHOWN: usize = 160;
        self.broken().next().map_or_else(|| self.end(), |broken| broken.chars().take(SHOWN).collect())
    }

    fn end(&self) -> String {
        end_of(self.text.as_bytes())
    }
}

/// The last lines.
fn end_of(bytes: &[u8]) -> String {
    const LINES: usize = 12;
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Gives a build folder what another one has built of other people's crates, which takes minutes. Our own are left
/// out, and are built from the copy.
fn lend(from: &Path, to: &Path) -> anyhow::Result<()> {
    /// What cargo keeps beside the crates themselves, and may write into.
    const NOTES: &[&str] = &[".fingerprint", "build"];
    /// Crates as other crates use them; programs and tests are not among them.
    const CRATES: &[&str] = &["rlib", "rmeta", "so", "d"];
    let is_ours = |name: &str| name.trim_start_matches("lib").starts_with("tollbell") || name.starts_with("proof");
    for folder in NOTES {
        let Ok(entries) = fs::read_dir(from.join(folder)) else { continue };
        for entry in entries {
            let entry = entry?;
            if !is_ours(&entry.file_name().to_string_lossy()) {
                copy_with_times(&entry.path(), &to.join(folder).join(entry.file_name()))?;
            }
        }
    }
    fs::create_dir_all(to.join("deps"))?;
    let Ok(entries) = fs::read_dir(from.join("deps")) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_crate = path.extension().is_some_and(|end| CRATES.iter().any(|known| end == *known));
        if is_crate && !is_ours(&name) {
            // Not written again as long as the crate's version stays.
            let link = to.join("deps").join(&*name);
            fs::hard_link(&path, &link).or_else(|_| copy_with_times(&path, &link))?;
        }
    }
    Ok(())
}

/// Copies a file or a folder; cargo compares times.
fn copy_with_times(from: &Path, to: &Path) -> std::io::Result<()> {
    let about = fs::symlink_metadata(from)?;
    if about.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_with_times(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if about.is_file() {
        fs::copy(from, to)?;
        fs::File::options().write(true).open(to)?.set_modified(about.modified()?)?;
    }
    Ok(())
}

/// Makes `to` hold what `from` holds, and nothing else.
fn mirror(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if NOT_COPIED.iter().any(|not| name == *not) {
            continue;
        }
        let (source, copy) = (entry.path(), to.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            mirror(&source, &copy)?;
        } else if kind.is_file() {
            let bytes = fs::read(&source)?;
            if fs::read(&copy).ok().as_deref() != Some(&bytes[..]) {
                fs::write(&copy, bytes).with_context(|| format!("write {}", copy.display()))?;
            }
        } else {
            continue;
        }
        names.push(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            let path = entry.path();
            if entry.file_type()?.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::judge::PROMISES;

    #[test]
    fn every_mutant_has_its_patch_and_every_patch_its_mutant() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants");
        let mut patches: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".patch").to_owned())
            .collect();
        patches.sort();
        let mut names: Vec<&str> = MUTANTS.iter().map(|one| one.name).collect();
        names.sort_unstable();
        assert_eq!(patches, names);
        for mutant in MUTANTS {
            let text = fs::read_to_string(folder.join(format!("{}.patch", mutant.name))).unwrap();
            assert!(text.starts_with("# "), "{}: the first line says what it breaks", mutant.name);
            if mutant.check == Check::Crash {
                assert!(PROMISES.contains(&mutant.sign), "{}", mutant.name);
            }
        }
    }

    #[test]
    fn a_mirror_is_equal_and_leaves_alone_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::create_dir_all(from.join("target")).unwrap();
        fs::write(from.join("src/a"), "1").unwrap();
        fs::write(from.join("target/b"), "2").unwrap();
        mirror(&from, &to).unwrap();
        let written = fs::metadata(to.join("src/a")).unwrap().modified().unwrap();
        fs::write(to.join("src/stray"), "3").unwrap();
        mirror(&from, &to).unwrap();
        assert_eq!(fs::metadata(to.join("src/a")).unwrap().modified().unwrap(), written);
        assert!(!to.join("src/stray").exists() && !to.join("target").exists());
    }

    #[test]
    fn what_others_built_is_lent_with_its_times_and_ours_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for name in [".fingerprint/serde-1", ".fingerprint/tollbell-2", "build/ring-3", "deps"] {
            fs::create_dir_all(from.join(name)).unwrap();
        }
        for name in [".fingerprint/serde-1/lib", "deps/libserde-1.rlib", "deps/libtollbell-2.rlib", "deps/serde-1"] {
            fs::write(from.join(name), name).unwrap();
        }
        lend(&from, &to).unwrap();
        let time = |of: &Path| fs::metadata(of.join(".fingerprint/serde-1/lib")).unwrap().modified().unwrap();
        assert_eq!(time(&from), time(&to));
        assert!(to.join("deps/libserde-1.rlib").exists() && to.join("build/ring-3").exists());
        for absent in ["deps/libtollbell-2.rlib", "deps/serde-1", ".fingerprint/tollbell-2"] {
            assert!(!to.join(absent).exists(), "{absent}");
        }
    }

    #[test]
    fn a_proof_that_says_something_else_has_not_caught_it() {
        let text = "BROKEN doubled: x\nBROKEN id: y\n".to_owned();
        let said = Said { what: String::new(), code: Some(1), text };
        assert!(said.has_sign("id") && said.has_sign("") && !said.has_sign("lost"));
        assert_eq!(said.first_broken(), "doubled: x");
    }
}
