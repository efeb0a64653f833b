//! Commands that make files: what a command has said it did outlives the power, and a backup or a restore that it
//! interrupts takes nothing away.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::Breach;
use super::disk::{Cut, Disk};
use super::record::{Deed, Recorder, Recording, Step, need_not_last};
use super::replay::{Case, write_image};
use super::trace;
use super::world::{INBOX, World};
use crate::random::Random;

/// Where the backup goes, inside the world.
const BACKUP: &str = "data/backup.db";
/// A configuration inside the world, for the command that makes a key beside it.
const OWN: &str = "own/tollbell.toml";
/// Runs the commands one after the other in a world whose inbox nobody serves.
pub(super) fn record(world: &World) -> anyhow::Result<Recording> {
    let root = world.root();
    std::fs::create_dir(root.join("own"))?;
    world.configure(&root.join(OWN), &root.join(INBOX))?;
    let mut recorder = Recorder::new(&root)?;
    let conf = world.configuration();
    let (backup, new) = (root.join(BACKUP), root.join("new"));
    let (backup, new) = (backup.to_str().context("a path")?, new.to_str().context("a path")?);
    let own = root.join(OWN);
    let commands: [(&Path, &[&str]); 4] = [
        (&conf, &["init", new]),
        (&own, &["resign-key", "alipay"]),
        (&conf, &["backup", backup]),
        (&conf, &["restore", backup, "--force"]),
    ];
    for (config, words) in commands {
        let output = world.traced("command", config, words).output().context("run strace")?;
        ensure!(output.status.success(), "{}: {}", words[0], String::from_utf8_lossy(&output.stderr));
        recorder.life(&trace::parse(&world.take_trace("command")?)?).with_context(|| words[0].to_owned())?;
    }
    Ok(recorder.finish())
}

/// What a command that has ended well has left to chance.
pub(super) fn check_exits(recording: &Recording) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut known = BTreeSet::new();
    let mut disk = Disk::new(recording);
    for (place, step) in recording.steps.iter().enumerate() {
        disk.step();
        if *step != Step::Exit(0) {
            continue;
        }
        for path in disk.unflushed() {
            // What an earlier command left is told of once.
            if known.insert(path.clone()) && !need_not_last(&path) {
                let path = path.display();
                breaches.push(Breach::new(place, "early", format!("a command has ended, and `{path}` is not flushed")));
            }
        }
    }
    breaches
}

impl Case<'_> {
    /// Cuts the power at so many points of the commands: the inbox holds all that was ever promised.
    pub(super) fn replay_commands(
        &self,
        recording: &Recording,
        points: usize,
        random: &mut Random,
        folder: &Path,
    ) -> anyhow::Result<Vec<Breach>> {
        let folder = folder.join("command-image");
        let config = folder.with_extension("toml");
        let steps = recording.steps.iter().enumerate();
        let names: Vec<usize> = steps
            .filter_map(|(at, step)| match step {
                Step::Begin(deed) | Step::End(deed) => match recording.deeds[*deed] {
                    Deed::Write { .. } | Deed::Resize { .. } => None,
                    _ => Some(at + 1),
                },
                _ => None,
            })
            .collect();
        let mut chosen: Vec<(usize, Cut)> = (0..points)
            .map(|number| {
                let any = random.index(recording.steps.len());
                let place = if number % 2 == 0 { *random.pick(&names) } else { any };
                (place, Cut::ALL[number % Cut::ALL.len()])
            })
            .collect();
        chosen.sort_unstable_by_key(|(place, _)| *place);
        let mut disk = Disk::new(recording);
        let mut breaches = Vec::new();
        for (place, cut) in chosen {
            disk.go_to(place);
            write_image(&disk.image(cut, random), &folder)?;
            self.world.configure(&config, &folder.join(INBOX))?;
            let wrong = self.ask(&config, usize::MAX)?;
            breaches
                .extend(wrong.into_iter().map(|what| Breach::new(place, "lost", format!("{what} (command, {cut:?})"))));
        }
        Ok(breaches)
    }
}
