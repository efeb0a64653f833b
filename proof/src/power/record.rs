//! From system calls to what a disk and a network see: which bytes went to which file, which names came and went, when
//! each flush began and returned, and what left on which connection.
//!
//! Only one folder is looked at, the *world*; what the program does elsewhere is not its inbox. A file is itself and
//! not its name: it may be renamed, unlinked and made again. Whatever could write into the world without being seen
//! here (a shared mapping, an `io_uring`, a child process) makes the recording fail.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::files::{apply, snapshot};
use super::trace::{Call, Value};

/// The calls that a trace has to hold.
pub const TRACED: &str = "execve,fork,vfork,clone,clone3,open,openat,openat2,creat,close,close_range,dup,dup2,dup3,lseek,\
     write,pwrite64,writev,pwritev,pwritev2,truncate,ftruncate,fallocate,copy_file_range,sendfile,splice,\
     rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,\
     fsync,fdatasync,sync,syncfs,mmap,io_uring_setup,io_setup,\
     socket,socketpair,accept,accept4,sendto,sendmsg,sendmmsg,\
     pipe,pipe2,eventfd2,epoll_create1,timerfd_create,signalfd4,inotify_init1,memfd_create,exit_group";

/// What the file ends in that SQLite maps and makes anew after every start; nothing in it has to last.
pub const SHARED_MEMORY: &str = "-shm";

/// Whether a file may go with the power: each start makes it anew.
pub fn need_not_last(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [SHARED_MEMORY, ".lock"].iter().any(|end| name.ends_with(end))
}

/// A file or a folder, whatever its name.
pub type Node = usize;
/// The world's own folder.
pub const WORLD: Node = 0;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// A change that a power cut may undo until it is flushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Bytes at a place of a file.
    Write {
        /// The file.
        file: Node,
        /// From its beginning, in bytes.
        offset: u64,
        /// What is there then.
        bytes: Vec<u8>,
    },
    /// A file's length, in bytes; longer means zeros.
    Resize {
        /// The file.
        file: Node,
        /// In bytes.
        length: u64,
    },
    /// A name for a node, new or another.
    Enter {
        /// Where the name is.
        folder: Node,
        /// The name.
        name: String,
        /// What it leads to.
        node: Node,
    },
    /// A name less.
    Leave {
        /// Where the name was.
        folder: Node,
        /// The name.
        name: String,
    },
    /// Another name in the place of one, all at once.
    Move {
        /// Folder and name of before.
        from: (Node, String),
        /// Folder and name of now; what it led to loses it.
        to: (Node, String),
        /// What is renamed.
        node: Node,
    },
    /// A call of a killed thread that had no effect.
    Nothing,
}

/// Something that left on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// On which connection.
    pub connection: Connection,
    /// What left.
    pub bytes: Vec<u8>,
}

/// A connection, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// Accepted: from a port of this machine, and the how-many-eth from that port.
    From {
        /// The other side's port.
        port: u16,
        /// Counted from 0.
        nth: usize,
    },
    /// Any other.
    Other,
}

/// A moment of the recording. Its place is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From here on a deed may reach the disk.
    Begin(usize),
    /// The deed's call has returned.
    End(usize),
    /// A flush of a node begins.
    SyncBegin(usize),
    /// It has returned without an error.
    SyncEnd(usize),
    /// From here on bytes are out of our hands.
    Sent(usize),
    /// A program ends by itself, with this code.
    Exit(i64),
    /// A program was killed.
    Killed,
}

/// All that happened, over one or several lives of the program.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// What each node is.
    pub kinds: Vec<Kind>,
    /// Nodes of the files and folders of the beginning: folder, name, node.
    pub roots: Vec<(Node, String, Node)>,
    /// Contents of the files of the beginning.
    pub contents: HashMap<Node, Vec<u8>>,
    /// Every change.
    pub deeds: Vec<Deed>,
    /// The node that each flush is of.
    pub syncs: Vec<Node>,
    /// Everything that left.
    pub sends: Vec<Sent>,
    /// In order.
    pub steps: Vec<Step>,
}

/// Makes a recording.
#[derive(Debug)]
pub struct Recorder {
    root: PathBuf,
    recording: Recording,
    names: HashMap<(Node, String), Node>,
    /// Files as every program sees them now.
    contents: HashMap<Node, Vec<u8>>,
    accepted: HashMap<u16, usize>,
}

#[derive(Clone, Debug)]
enum Target {
    File(Node),
    Folder(Node),
    Socket(Connection),
    Elsewhere,
}

#[derive(Clone, Debug)]
struct Descriptor {
    target: Target,
    position: u64,
    appends: bool,
    /// Reads move the position and are not recorded.
    is_position_known: bool,
}

impl Descriptor {
    fn new(target: Target) -> Self {
        Self { target, position: 0, appends: false, is_position_known: true }
    }
}

impl Recorder {
    /// Of the world at `root`, which holds what it holds now, on the disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(root: &Path) -> anyhow::Result<Self> {
        let root = root.canonicalize().context("find the world")?;
        let mut recorder = Self {
            root,
            recording: Recording { kinds: vec![Kind::Folder], ..Recording::default() },
            names: HashMap::new(),
            contents: HashMap::new(),
            accepted: HashMap::new(),
        };
        let found = snapshot(&recorder.root)?;
        for (path, entry) in found {
            let (folder, name) = recorder.place(&recorder.root.join(&path))?.context("a file outside the world")?;
            let node = recorder.node(if entry.is_some() { Kind::File } else { Kind::Folder });
            recorder.names.insert((folder, name.clone()), node);
            recorder.recording.roots.push((folder, name, node));
            if let Some(bytes) = entry {
                recorder.recording.contents.insert(node, bytes.clone());
                recorder.contents.insert(node, bytes);
            }
        }
        Ok(recorder)
    }

    /// Adds one life of the program, and compares what the calls say with what is really there.
    ///
    /// # Errors
    /// When a call is not understood, or the files are not as the calls say.
    pub fn life(&mut self, calls: &[Call]) -> anyhow::Result<()> {
        let mut life = Life { recorder: self, open: HashMap::new(), deeds: HashMap::new() };
        life.play(calls)?;
        let unfinished = life.deeds.into_values().flatten().collect::<Vec<_>>();
        if !calls.iter().any(|call| call.name == "exit_group") {
            self.recording.steps.push(Step::Killed);
        }
        self.settle(&unfinished)
    }

    /// The end.
    pub fn finish(self) -> Recording {
        self.recording
    }

    fn node(&mut self, kind: Kind) -> Node {
        self.recording.kinds.push(kind);
        self.recording.kinds.len() - 1
    }

    /// Folder and name of a path; nothing when it is outside the world.
    fn place(&self, path: &Path) -> anyhow::Result<Option<(Node, String)>> {
        let Ok(inside) = path.strip_prefix(&self.root) else { return Ok(None) };
        let mut parts = Vec::new();
        for part in inside.components() {
            match part {
                Component::Normal(name) => parts.push(name.to_str().context("a name that is not UTF-8")?.to_owned()),
                Component::CurDir => {}
                other => bail!("a path that turns: {other:?} in {}", path.display()),
            }
        }
        let Some(name) = parts.pop() else { return Ok(None) };
        let mut folder = WORLD;
        for part in parts {
            match self.names.get(&(folder, part)) {
                Some(node) => folder = *node,
                None => return Ok(None),
            }
        }
        Ok(Some((folder, name)))
    }

    /// What a path leads to.
    fn lookup(&self, path: &Path) -> anyhow::Result<Option<Node>> {
        if path == self.root {
            return Ok(Some(WORLD));
        }
        Ok(self.place(path)?.and_then(|place| self.names.get(&place).copied()))
    }

    /// Decides about calls that a kill cut off, and compares.
    fn settle(&mut self, unfinished: &[usize]) -> anyhow::Result<()> {
        let real = snapshot(&self.root)?;
        let mut paths = BTreeMap::new();
        self.walk(WORLD, Path::new(""), &mut paths);
        for deed in unfinished {
            let Deed::Write { file, offset, bytes } = &self.recording.deeds[*deed] else {
                self.recording.deeds[*deed] = Deed::Nothing;
                continue;
            };
            let path = paths.iter().find(|(_, node)| *node == file).map(|(path, _)| path);
            let from = usize::try_from(*offset)?;
            let there = path.and_then(|path| real.get(path)?.as_deref()).and_then(|there| there.get(from..));
            let common = there.map_or(0, |there| there.iter().zip(bytes).take_while(|(a, b)| a == b).count());
            if common == 0 {
                self.recording.deeds[*deed] = Deed::Nothing;
                continue;
            }
            let kept = Deed::Write { file: *file, offset: *offset, bytes: bytes[..common].to_vec() };
            apply(self.contents.entry(*file).or_default(), &kept);
            self.recording.deeds[*deed] = kept;
            self.recording.steps.push(Step::End(*deed));
        }
        let told: Vec<&PathBuf> = paths.keys().collect();
        ensure!(told.iter().copied().eq(real.keys()), "the calls told of {told:?}, and there is {:?}", real.keys());
        for (path, node) in paths {
            let is_shared = path.to_string_lossy().ends_with(SHARED_MEMORY);
            if let (Some(Some(bytes)), false) = (real.get(&path), is_shared) {
                let told = self.contents.get(&node).map_or(&[][..], Vec::as_slice);
                ensure!(told == bytes, "{} is not as the calls say", path.display());
            }
        }
        Ok(())
    }

    fn walk(&self, folder: Node, path: &Path, found: &mut BTreeMap<PathBuf, Node>) {
        for ((parent, name), node) in &self.names {
            if *parent == folder {
                let path = path.join(name);
                if self.recording.kinds[*node] == Kind::Folder {
                    self.walk(*node, &path, found);
                }
                found.insert(path, *node);
            }
        }
    }
}

/// One process, from its beginning to its end.
struct Life<'a> {
    recorder: &'a mut Recorder,
    open: HashMap<i64, Descriptor>,
    /// Deeds of calls that have begun and not ended, by the call.
    deeds: HashMap<usize, Vec<usize>>,
}

impl Life<'_> {
    fn play(&mut self, calls: &[Call]) -> anyhow::Result<()> {
        for standard in 0..=2 {
            self.open.insert(standard, Descriptor::new(Target::Elsewhere));
        }
        let mut moments: Vec<(usize, bool, usize)> = Vec::with_capacity(calls.len() * 2);
        for (at, call) in calls.iter().enumerate() {
            moments.push((call.begin, false, at));
            moments.extend(call.end.map(|end| (end, true, at)));
        }
        moments.sort_unstable();
        let mut syncs = HashMap::new();
        for (_, is_end, at) in moments {
            let call = &calls[at];
            // A failure changes nothing; it is known before the beginning, because all is read afterwards.
            let has_failed = call.end.is_some() && call.result.is_none();
            if has_failed && call.name != "close" {
                continue;
            }
            let doing = || format!("line {}: {}", call.begin + 1, call.name);
            if is_end {
                self.end(call, at, &mut syncs).with_context(doing)?;
            } else {
                self.begin(call, at, &mut syncs).with_context(doing)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, call: &Call, at: usize, syncs: &mut HashMap<usize, usize>) -> anyhow::Result<()> {
        match &*call.name {
            "close" => {
                self.open.remove(&call.number(0)?);
            }
            "close_range" => {
                let (first, last) = (call.number(0)?, call.number(1).unwrap_or(i64::MAX));
                self.open.retain(|descriptor, _| !(first..=last).contains(descriptor));
            }
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendto" | "sendmsg" => self.put(call, at)?,
            "ftruncate" => {
                let length = u64::try_from(call.number(1)?)?;
                if let Target::File(file) = self.descriptor(call.number(0)?)?.target {
                    self.deed(at, Deed::Resize { file, length });
                }
            }
            "fallocate" => self.reserve(call, at)?,
            "truncate" => {
                let node = self.path(call, 0, None)?.map(|path| self.recorder.lookup(&path)).transpose()?.flatten();
                if let Some(file) = node {
                    self.deed(at, Deed::Resize { file, length: u64::try_from(call.number(1)?)? });
                }
            }
            "copy_file_range" => self.copy(call, at)?,
            "open" | "openat" | "creat" => self.create(call, at)?,
            "mkdir" | "mkdirat" | "rename" | "renameat" | "renameat2" | "link" | "linkat" | "unlink" | "unlinkat"
            | "rmdir" => self.rename(call, at)?,
            "fsync" | "fdatasync" => {
                if let Target::File(node) | Target::Folder(node) = self.descriptor(call.number(0)?)?.target {
                    let recording = &mut self.recorder.recording;
                    recording.syncs.push(node);
                    let sync = recording.syncs.len() - 1;
                    recording.steps.push(Step::SyncBegin(sync));
                    syncs.insert(at, sync);
                }
            }
            "mmap" => self.map(call)?,
            "exit_group" => self.recorder.recording.steps.push(Step::Exit(call.number(0)?)),
            "symlink" | "symlinkat" | "sync" | "syncfs" | "io_uring_setup" | "io_setup" | "sendmmsg" | "sendfile"
            | "splice" | "openat2" | "fork" | "vfork" => bail!("a call that the recording does not follow"),
            "clone" | "clone3" => {
                let shares = call.arguments.iter().any(|value| {
                    let flags = value.field("flags").unwrap_or(value);
                    flags.word().contains("CLONE_FILES")
                });
                ensure!(shares, "a child process, which the recording does not follow");
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, call: &Call, at: usize, syncs: &mut HashMap<usize, usize>) -> anyhow::Result<()> {
        for deed in self.deeds.remove(&at).unwrap_or_default() {
            self.recorder.recording.steps.push(Step::End(deed));
        }
        if let Some(sync) = syncs.remove(&at) {
            self.recorder.recording.steps.push(Step::SyncEnd(sync));
        }
        let Some(result) = call.result else { return Ok(()) };
        match &*call.name {
            "open" | "openat" | "creat" => {
                let descriptor = self.opened(call)?;
                self.open.insert(result, descriptor);
            }
            "dup" | "dup2" | "dup3" => {
                let descriptor = self.descriptor(call.number(0)?)?.clone();
                self.open.insert(result, descriptor);
            }
            "lseek" => {
                if let Some(descriptor) = self.open.get_mut(&call.number(0)?) {
                    descriptor.position = u64::try_from(result)?;
                    descriptor.is_position_known = true;
                }
            }
            "accept" | "accept4" => {
                let port = call.arguments.get(1).and_then(|address| address.field("sin_port")).map(Value::word);
                let port = port.and_then(|word| word.strip_prefix("htons(")?.strip_suffix(')')?.parse().ok());
                let connection = port.map_or(Connection::Other, |port| {
                    let count = self.recorder.accepted.entry(port).or_default();
                    *count += 1;
                    Connection::From { port, nth: *count - 1 }
                });
                self.open.insert(result, Descriptor::new(Target::Socket(connection)));
            }
            "socket" => {
                self.open.insert(result, Descriptor::new(Target::Socket(Connection::Other)));
            }
            "eventfd2" | "epoll_create1" | "timerfd_create" | "signalfd4" | "inotify_init1" | "memfd_create" => {
                self.open.insert(result, Descriptor::new(Target::Elsewhere));
            }
            "pipe" | "pipe2" | "socketpair" => {
                let pair = call.arguments.iter().find_map(|value| match value {
                    Value::List(both) => Some(both.clone()),
                    _ => None,
                });
                for one in pair.context("no pair")? {
                    self.open.insert(one.number().context("no descriptor")?, Descriptor::new(Target::Elsewhere));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn descriptor(&self, number: i64) -> anyhow::Result<&Descriptor> {
        self.open.get(&number).with_context(|| format!("descriptor {number} comes from nowhere"))
    }

    /// Notes a change, and has every later call see it.
    fn deed(&mut self, at: usize, deed: Deed) {
        let recorder = &mut *self.recorder;
        let id = recorder.recording.deeds.len();
        recorder.recording.steps.push(Step::Begin(id));
        self.deeds.entry(at).or_default().push(id);
        match &deed {
            Deed::Write { file, .. } | Deed::Resize { file, .. } => {
                apply(recorder.contents.entry(*file).or_default(), &deed);
            }
            Deed::Enter { folder, name, node } => {
                recorder.names.insert((*folder, name.clone()), *node);
            }
            Deed::Leave { folder, name } => {
                recorder.names.remove(&(*folder, name.clone()));
            }
            Deed::Move { from, to, node } => {
                recorder.names.remove(from);
                recorder.names.insert(to.clone(), *node);
            }
            Deed::Nothing => {}
        }
        recorder.recording.deeds.push(deed);
    }

    /// Bytes to a file or a socket.
    fn put(&mut self, call: &Call, at: usize) -> anyhow::Result<()> {
        let number = call.number(0)?;
        let mut bytes = gathered(call.argument(1)?)?;
        if call.end.is_some() {
            bytes.truncate(usize::try_from(call.result.unwrap_or(0))?);
        }
        let descriptor =
            self.open.get_mut(&number).with_context(|| format!("descriptor {number} comes from nowhere"))?;
        match descriptor.target {
            Target::Elsewhere => {}
            Target::Folder(_) => bail!("bytes into a folder"),
            Target::Socket(connection) => {
                let recording = &mut self.recorder.recording;
                recording.sends.push(Sent { connection, bytes });
                recording.steps.push(Step::Sent(recording.sends.len() - 1));
            }
            Target::File(file) => {
                let offset = match &*call.name {
                    "pwrite64" | "pwritev" | "pwritev2" => u64::try_from(call.number(3)?)?,
                    _ if descriptor.appends => self.recorder.contents.get(&file).map_or(0, Vec::len) as u64,
                    _ => {
                        ensure!(descriptor.is_position_known, "a write at a place that reads may have moved");
                        let offset = descriptor.position;
                        descriptor.position += bytes.len() as u64;
                        offset
                    }
                };
                if call.end.is_none() {
                    // What came of it is seen when the life is over.
                    let recording = &mut self.recorder.recording;
                    recording.deeds.push(Deed::Write { file, offset, bytes });
                    let id = recording.deeds.len() - 1;
                    recording.steps.push(Step::Begin(id));
                    self.deeds.entry(at).or_default().push(id);
                } else {
                    self.deed(at, Deed::Write { file, offset, bytes });
                }
            }
        }
        Ok(())
    }

    fn reserve(&mut self, call: &Call, at: usize) -> anyhow::Result<()> {
        if let Target::File(file) = self.descriptor(call.number(0)?)?.target {
            ensure!(call.argument(1)?.word() == "0", "an fallocate that the recording does not follow");
            let length = u64::try_from(call.number(2)? + call.number(3)?)?;
            if length > self.recorder.contents.get(&file).map_or(0, Vec::len) as u64 {
                self.deed(at, Deed::Resize { file, length });
            }
        }
        Ok(())
    }

    /// From file to file inside the kernel: the bytes are those of the source.
    fn copy(&mut self, call: &Call, at: usize) -> anyhow::Result<()> {
        let (from, to) = (call.number(0)?, call.number(2)?);
        let length = usize::try_from(call.result.unwrap_or(0))?;
        let Target::File(file) = self.descriptor(to)?.target else { return Ok(()) };
        ensure!(
            call.argument(1)?.word() == "NULL" && call.argument(3)?.word() == "NULL",
            "a copy between places that the recording does not follow"
        );
        let Target::File(source) = self.descriptor(from)?.target else { bail!("a copy from outside the world") };
        let start = usize::try_from(self.descriptor(from)?.position)?;
        let bytes = self.recorder.contents[&source].get(start..start + length).context("a copy from behind the end")?;
        let (bytes, offset) = (bytes.to_vec(), self.descriptor(to)?.position);
        for (number, by) in [(from, length), (to, length)] {
            if let Some(descriptor) = self.open.get_mut(&number) {
                descriptor.position += by as u64;
            }
        }
        self.deed(at, Deed::Write { file, offset, bytes });
        Ok(())
    }

    /// A path inside the world, of an argument behind its folder's descriptor.
    fn path(&self, call: &Call, at: usize, folder: Option<usize>) -> anyhow::Result<Option<PathBuf>> {
        let bytes = call.argument(at)?.bytes().context("a path that is no string")?;
        let path = PathBuf::from(std::str::from_utf8(bytes).context("a path that is not UTF-8")?);
        if path.is_absolute() {
            return Ok(path.starts_with(&self.recorder.root).then_some(path));
        }
        let is_here = folder.is_none_or(|folder| call.arguments[folder].word() == "AT_FDCWD");
        ensure!(is_here, "a path from a folder's descriptor: {}", path.display());
        // The program runs in a folder outside the world.
        Ok(None)
    }

    /// What the arguments of an open say: path, flags.
    fn opening(&self, call: &Call) -> anyhow::Result<(Option<PathBuf>, Value)> {
        Ok(match &*call.name {
            "openat" => (self.path(call, 1, Some(0))?, call.argument(2)?.clone()),
            "open" => (self.path(call, 0, None)?, call.argument(1)?.clone()),
            _ => (self.path(call, 0, None)?, Value::Word("O_WRONLY|O_CREAT|O_TRUNC".to_owned())),
        })
    }

    fn create(&mut self, call: &Call, at: usize) -> anyhow::Result<()> {
        let (Some(path), flags) = self.opening(call)? else { return Ok(()) };
        if call.end.is_none() {
            return Ok(());
        }
        ensure!(!flags.has_flag("O_SYNC") && !flags.has_flag("O_DSYNC"), "a file that flushes by itself");
        match self.recorder.lookup(&path)? {
            Some(file) if flags.has_flag("O_TRUNC") && self.recorder.recording.kinds[file] == Kind::File => {
                self.deed(at, Deed::Resize { file, length: 0 });
            }
            None if flags.has_flag("O_CREAT") => {
                let (folder, name) = self.recorder.place(&path)?.context("a new file in a folder that is not known")?;
                let node = self.recorder.node(Kind::File);
                self.recorder.contents.insert(node, Vec::new());
                self.deed(at, Deed::Enter { folder, name, node });
            }
            _ => {}
        }
        Ok(())
    }

    fn opened(&self, call: &Call) -> anyhow::Result<Descriptor> {
        let (Some(path), flags) = self.opening(call)? else { return Ok(Descriptor::new(Target::Elsewhere)) };
        let Some(node) = self.recorder.lookup(&path)? else {
            bail!("{} was opened and is not known", path.display());
        };
        let target = match self.recorder.recording.kinds[node] {
            Kind::File => Target::File(node),
            Kind::Folder => Target::Folder(node),
        };
        let is_position_known = !flags.has_flag("O_RDWR");
        Ok(Descriptor { target, position: 0, appends: flags.has_flag("O_APPEND"), is_position_known })
    }

    fn rename(&mut self, call: &Call, at: usize) -> anyhow::Result<()> {
        if call.end.is_none() {
            return Ok(());
        }
        let is_at = call.name.contains("at");
        let first = if is_at { self.path(call, 1, Some(0))? } else { self.path(call, 0, None)? };
        let second = match &*call.name {
            "rename" | "link" => self.path(call, 1, None)?,
            "renameat" | "renameat2" | "linkat" => self.path(call, 3, Some(2))?,
            _ => None,
        };
        let place = |path: &Option<PathBuf>| -> anyhow::Result<Option<(Node, String)>> {
            path.as_ref().map_or(Ok(None), |path| self.recorder.place(path))
        };
        let (from, to) = (place(&first)?, place(&second)?);
        let deed = match (&*call.name, from, to) {
            ("mkdir" | "mkdirat", Some((folder, name)), _) => {
                let node = self.recorder.node(Kind::Folder);
                Deed::Enter { folder, name, node }
            }
            ("unlink" | "unlinkat" | "rmdir", Some((folder, name)), _) => Deed::Leave { folder, name },
            ("rename" | "renameat" | "renameat2", Some(from), Some(to)) => {
                let node = *self.recorder.names.get(&from).context("a file that is not known is renamed")?;
                Deed::Move { from, to, node }
            }
            ("link" | "linkat", Some(from), Some((folder, name))) => {
                let node = *self.recorder.names.get(&from).context("a file that is not known gets a name")?;
                Deed::Enter { folder, name, node }
            }
            (_, None, None) => return Ok(()),
            _ => bail!("a name that comes into the world or leaves it"),
        };
        self.deed(at, deed);
        Ok(())
    }

    /// A mapping that writes would change a file unseen.
    fn map(&self, call: &Call) -> anyhow::Result<()> {
        let Ok(descriptor) = call.number(4) else { return Ok(()) };
        let writes = call.argument(2)?.has_flag("PROT_WRITE") && call.argument(3)?.word().contains("MAP_SHARED");
        if descriptor < 0 || !writes {
            return Ok(());
        }
        let Target::File(file) = self.descriptor(descriptor)?.target else { return Ok(()) };
        let names = &self.recorder.names;
        let name = names.iter().find(|(_, node)| **node == file).map_or("", |((_, name), _)| name);
        ensure!(name.ends_with(SHARED_MEMORY), "`{name}` is mapped for writing, which no trace can follow");
        Ok(())
    }
}

/// The bytes of a buffer, of several, or of a message.
fn gathered(value: &Value) -> anyhow::Result<Vec<u8>> {
    Ok(match value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::List(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(part.field("iov_base").and_then(Value::bytes).context("a part without bytes")?);
            }
            all
        }
        Value::Fields(_) => gathered(value.field("msg_iov").context("a message without bytes")?)?,
        Value::Word(word) => bail!("no bytes: {word}"),
    })
}
