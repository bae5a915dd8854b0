//! What the host, the keeper and the guardian say to each other: one message per datagram of a `SOCK_SEQPACKET` socket.
//!
//! This file is compiled twice, into the library and into the guardian program, which has neither an allocator nor the
//! standard library. So it uses `core` alone and borrows from the caller's buffers. The two sides are always of one
//! build, numbers are in the machine's own order, and there is no version to negotiate: but for a pair that is kept, whose next host
//! may be of another build, and is told [`SPEECH`] first.

/// The longest message without the strings of a [`Spawn`].
pub(crate) const MAX_HEAD: usize = 128;

/// Strings up to this many bytes travel in the message, longer ones in a sealed memfd: a datagram has a limit of about
/// 200 KiB.
pub(crate) const MAX_INLINE: usize = 64 << 10;

/// Descriptors that one message may carry: the kernel's own limit.
pub(crate) const MAX_FDS: usize = 253;

/// What [`KeeperFact::Welcome`] says. To be raised with every change of what is said from then on: a host and a pair that speak
/// differently leave each other alone.
pub(crate) const SPEECH: u32 = 1;

/// The highest number of a worker in one run: it has 22 bits in the mark, and the last number is [`ADOPTED`].
pub(crate) const MAX_WORKER: u32 = ADOPTED - 1;

/// The number in the mark of a process that was left alone for good: neither guardian nor keeper nor sweep ends it.
pub(crate) const ADOPTED: u32 = (1 << 22) - 1;

/// Host to keeper, on the keeper's descriptor 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeeperOrder {
    /// The first message. Descriptors: a pidfd of the host, then, if `cgroup`, the folder of the run in cgroup v2.
    Begin {
        mark: Mark,
        /// The host's process id, as the keeper sees its parent.
        host: u32,
        /// How long a guardian may take to end everything after the host's death before the keeper does it itself.
        grace_ms: u32,
        cgroup: bool,
    },
    /// Start one more guardian. Descriptors: the guardian's ends of its own two sockets to the host, the second for starts.
    Guard { guardian: u32, pidns: bool },
    /// The guardian does not answer: kill it and everything below it.
    Replace { guardian: u32 },
    /// From now on live on without a host, and wait for the next one. Descriptors: the lock of the run, which is held for as long as the
    /// keeper lives; the listening socket where the next host comes in; the keeper's end of a socket to the guardian. Comes after the
    /// guardian's [`Order::Keep`], whose [`Fact::Keeping`] is awaited there.
    Keep,
    /// The next host's first word. Descriptors: as with `Guard`.
    Attach,
}

/// Keeper to host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeeperFact {
    /// `Begin` was carried out. Where there is no run folder, `cgroup` and `clone_into_cgroup` are ENOENT.
    Kept(Layers),
    /// The guardian exists; its own `Ready` comes on its own socket. Descriptor: its pidfd.
    Guarding { guardian: u32, pid: u32 },
    /// The guardian could not be started.
    Refused { guardian: u32, step: Step, errno: i32 },
    /// `Keep` was carried out, by the guardian as well.
    Keeping,
    /// To whoever comes in, if there is no host: it is the host from now on. This and the next one never change.
    Welcome { speech: u32 },
    /// To whoever comes in while that host lives.
    Hosted { host: u32 },
    /// `Attach` was carried out; the guardian's own `Ready` comes on its own socket. Descriptors: pidfds of keeper and guardian.
    Attached { keeper: u32, guardian: u32, layers: Layers },
}

/// Host to guardian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order<'a> {
    /// This and `Adopt` come on the socket for starts, and no other order. They are answered there, in turn, by `Spawned` or `Failed`.
    Spawn(Spawn<'a>),
    Adopt(Adopt),
    /// To the worker's process group, if its leader has not been reaped.
    Signal {
        worker: u32,
        signal: u32,
    },
    /// End the worker's whole tree, reap it, and answer `Gone`. The leader may have ended by itself long ago: it is kept
    /// un-reaped until this order comes. Saying it twice is fine.
    End {
        worker: u32,
    },
    /// Answer [`Fact::Alive`]. One that waits for a worker which the kernel holds has nothing else to say.
    Ask,
    /// From now on the host's end is not the end of this worker, the only one. Descriptors: the guardian's end of a socket to the keeper, where
    /// [`Fact::Keeping`] is said; the file in which the worker's end is written down; if `has_input`, the writing end of its stdin;
    /// and others, which are held for the next host.
    Keep {
        worker: u32,
        has_input: bool,
    },
    /// Hold the writing end of its stdin no longer: it is to end when the host closes its own.
    CloseInput {
        worker: u32,
    },
    /// From the keeper: the next host. Descriptors: its pidfd, and our ends of two sockets to it, the second for starts.
    Attach,
}

/// A process that a worker of ours has forked for us, and that became the guardian's child when its own parent ended. From
/// now on it is a worker like one that was started by [`Order::Spawn`], and is answered for in the same way.
///
/// Until then it is its template's: it carries the template's mark, and ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Adopt {
    /// As in [`Spawn`].
    pub(crate) worker: u32,
    pub(crate) on_escape: OnEscape,
    /// The worker that has forked it.
    pub(crate) template: u32,
    /// The guardian's view. Not believed: it must be an un-reaped child with the template's mark and a group of its own.
    pub(crate) pid: u32,
    /// It moves into a cgroup leaf of its own; else it stays in the template's.
    pub(crate) own_leaf: bool,
}

/// Guardian to host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// The first message: orders are taken from now on.
    Ready(Layers),
    /// The program runs (its `exec` went well). Descriptor: a pidfd. The number is the guardian's view: inside a PID
    /// namespace the host must ask the pidfd.
    Spawned { worker: u32, pid: u32 },
    /// Nothing is left of the attempt.
    Failed { worker: u32, step: Step, errno: i32 },
    /// A process of the worker outlives it, as its `on_escape` allows. The number is the guardian's view. Descriptor: its
    /// pidfd, if there was one to be had.
    Escaped { worker: u32, pid: u32 },
    /// The whole tree is gone and reaped. `code` and `status` are `si_code` and `si_status` of the leader. `escaped` counts
    /// the processes that had left the worker's group and were ended with it.
    Gone { worker: u32, code: i32, status: i32, escaped: u32 },
    /// The answer to [`Order::Ask`].
    Alive,
    /// The answer to [`Order::Keep`], to the keeper.
    Keeping,
    /// To the next host, after `Ready`: the worker that was kept, whose leader may have ended. Descriptors: its pidfd, and what `Keep`
    /// brought after the file, `others` of them besides the input.
    Held { worker: u32, pid: u32, has_input: bool, others: u32 },
}

/// What to start, and what it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spawn<'a> {
    /// 1 to [`MAX_WORKER`], never used twice in a run.
    pub(crate) worker: u32,
    pub(crate) on_escape: OnEscape,
    pub(crate) no_new_privileges: bool,
    /// Nothing that it does before its program runs can take long: the guardian may stand still for it.
    pub(crate) is_quick: bool,
    /// User and group to become, with no supplementary groups.
    pub(crate) user: Option<(u32, u32)>,
    /// RLIMIT_NOFILE and RLIMIT_AS, soft and hard; 0 leaves what the host had.
    pub(crate) open_files: u64,
    pub(crate) address_space: u64,
    /// The first so many descriptors of the message become 0, 1, 2 and so on in the child, which has no others.
    pub(crate) fds: u8,
    /// The next so many are `cgroup.procs` files into which the child writes itself before it runs the program.
    pub(crate) joins: u8,
    pub(crate) args: u32,
    pub(crate) env: u32,
    pub(crate) strings: Strings<'a>,
}

/// Each ended by NUL: the program's path, the directory (empty: the host's when the keeper started), the arguments (the
/// first is the program's name), then the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strings<'a> {
    Inline(&'a [u8]),
    /// In the memfd that is the message's last descriptor.
    Memfd {
        length: u64,
    },
}

/// What becomes of processes that left their worker's group (daemons that it started) and outlive it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(unreachable_pub, reason = "the library shows it, the program does not")]
pub enum OnEscape {
    /// Ended with the worker.
    #[default]
    Kill,
    /// Left alone until the run ends, and reported.
    Report,
    /// Left alone for good, and reported. Such a worker lives in the cgroup around the run's folder, without a leaf.
    Adopt,
}

/// RLIMIT_LOCKS, which means nothing to Linux since 2.4 and is inherited by every descendant: a name tag that a process
/// cannot lose by `setsid`, `execve` or an empty environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) hard: u64,
    /// With a worker number of 0 in its lowest 22 bits; each worker sets its own.
    pub(crate) soft: u64,
}

/// What holds on this machine. Errno 0: it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    /// A leaf in cgroup v2 for each worker.
    pub(crate) cgroup: i32,
    /// Born into it by `clone3`; else the child moves itself there before it runs anything.
    pub(crate) clone_into_cgroup: i32,
    /// RLIMIT_LOCKS could be set.
    pub(crate) mark: i32,
    /// `/proc/self/task/*/children` can be read; else all of `/proc` is.
    pub(crate) children_file: i32,
    /// Spared by the out-of-memory killer.
    pub(crate) oom_protection: i32,
}

/// Where a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Step {
    /// The order itself: descriptors or strings are not as it says.
    Order = 1,
    /// No room in the guardian's table.
    Table,
    /// Mapping the strings.
    Memory,
    /// Making the cgroup leaf.
    Leaf,
    /// `clone`.
    Clone,
    /// Entering a cgroup.
    Join,
    Session,
    Mark,
    Limits,
    Credentials,
    /// `prctl`: death signal, no new privileges.
    Prctl,
    /// The guardian died meanwhile.
    Parent,
    Descriptors,
    Directory,
    Exec,
    /// Mounting `/proc` in the new namespace.
    Mount,
}

impl Step {
    const ALL: [Step; 16] = [
        Step::Order,
        Step::Table,
        Step::Memory,
        Step::Leaf,
        Step::Clone,
        Step::Join,
        Step::Session,
        Step::Mark,
        Step::Limits,
        Step::Credentials,
        Step::Prctl,
        Step::Parent,
        Step::Descriptors,
        Step::Directory,
        Step::Exec,
        Step::Mount,
    ];

    pub(crate) fn from_number(number: u32) -> Option<Step> {
        Step::ALL.into_iter().find(|step| *step as u32 == number)
    }
}

/// Writes into the front of `buffer` and gives that part back; `None` if it does not fit.
pub(crate) trait Encode {
    fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]>;
}

impl Encode for KeeperOrder {
    fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut writer = Writer { buffer, at: 0 };
        match *self {
            KeeperOrder::Begin { mark, host, grace_ms, cgroup } => {
                writer.u32s(&[1, host, grace_ms, u32::from(cgroup)])?;
                writer.u64(mark.hard)?;
                writer.u64(mark.soft)?;
            }
            KeeperOrder::Guard { guardian, pidns } => writer.u32s(&[2, guardian, u32::from(pidns)])?,
            KeeperOrder::Replace { guardian } => writer.u32s(&[3, guardian])?,
            KeeperOrder::Keep => writer.u32s(&[4])?,
            KeeperOrder::Attach => writer.u32s(&[5])?,
        }
        Some(writer.finish())
    }
}

impl KeeperOrder {
    pub(crate) fn decode(message: &[u8]) -> Option<KeeperOrder> {
        let mut reader = Reader(message);
        let order = match reader.u32()? {
            1 => {
                let (host, grace_ms, cgroup) = (reader.u32()?, reader.u32()?, reader.bool()?);
                let mark = Mark { hard: reader.u64()?, soft: reader.u64()? };
                KeeperOrder::Begin { mark, host, grace_ms, cgroup }
            }
            2 => KeeperOrder::Guard { guardian: reader.u32()?, pidns: reader.bool()? },
            3 => KeeperOrder::Replace { guardian: reader.u32()? },
            4 => KeeperOrder::Keep,
            5 => KeeperOrder::Attach,
            _ => return None,
        };
        reader.end(order)
    }
}

impl Encode for KeeperFact {
    fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut writer = Writer { buffer, at: 0 };
        match *self {
            KeeperFact::Kept(layers) => {
                writer.u32s(&[1])?;
                writer.layers(&layers)?;
            }
            KeeperFact::Guarding { guardian, pid } => writer.u32s(&[2, guardian, pid])?,
            KeeperFact::Refused { guardian, step, errno } => {
                writer.u32s(&[3, guardian, step as u32, errno.cast_unsigned()])?;
            }
            KeeperFact::Keeping => writer.u32s(&[4])?,
            KeeperFact::Welcome { speech } => writer.u32s(&[5, speech])?,
            KeeperFact::Hosted { host } => writer.u32s(&[6, host])?,
            KeeperFact::Attached { keeper, guardian, layers } => {
                writer.u32s(&[7, keeper, guardian])?;
                writer.layers(&layers)?;
            }
        }
        Some(writer.finish())
    }
}

impl KeeperFact {
    pub(crate) fn decode(message: &[u8]) -> Option<KeeperFact> {
        let mut reader = Reader(message);
        let fact = match reader.u32()? {
            1 => KeeperFact::Kept(reader.layers()?),
            2 => KeeperFact::Guarding { guardian: reader.u32()?, pid: reader.u32()? },
            3 => KeeperFact::Refused { guardian: reader.u32()?, step: reader.step()?, errno: reader.i32()? },
            4 => KeeperFact::Keeping,
            5 => KeeperFact::Welcome { speech: reader.u32()? },
            6 => KeeperFact::Hosted { host: reader.u32()? },
            7 => KeeperFact::Attached { keeper: reader.u32()?, guardian: reader.u32()?, layers: reader.layers()? },
            _ => return None,
        };
        reader.end(fact)
    }
}

impl Encode for Order<'_> {
    fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut writer = Writer { buffer, at: 0 };
        match self {
            Order::Spawn(spawn) => {
                writer.u32s(&[1])?;
                writer.spawn(spawn)?;
            }
            Order::Signal { worker, signal } => writer.u32s(&[2, *worker, *signal])?,
            Order::End { worker } => writer.u32s(&[3, *worker])?,
            Order::Ask => writer.u32s(&[4])?,
            Order::Adopt(Adopt { worker, on_escape, template, pid, own_leaf }) => {
                writer.u32s(&[5, *worker, *on_escape as u32, *template, *pid, u32::from(*own_leaf)])?;
            }
            Order::Keep { worker, has_input } => writer.u32s(&[6, *worker, u32::from(*has_input)])?,
            Order::CloseInput { worker } => writer.u32s(&[7, *worker])?,
            Order::Attach => writer.u32s(&[8])?,
        }
        Some(writer.finish())
    }
}

impl<'a> Order<'a> {
    pub(crate) fn decode(message: &'a [u8]) -> Option<Order<'a>> {
        let mut reader = Reader(message);
        let order = match reader.u32()? {
            1 => Order::Spawn(reader.spawn()?),
            2 => Order::Signal { worker: reader.u32()?, signal: reader.u32()? },
            3 => Order::End { worker: reader.u32()? },
            4 => Order::Ask,
            5 => Order::Adopt(reader.adopt()?),
            6 => Order::Keep { worker: reader.worker()?, has_input: reader.bool()? },
            7 => Order::CloseInput { worker: reader.worker()? },
            8 => Order::Attach,
            _ => return None,
        };
        reader.end(order)
    }
}

impl Encode for Fact {
    fn encode<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut writer = Writer { buffer, at: 0 };
        match *self {
            Fact::Ready(layers) => {
                writer.u32s(&[1])?;
                writer.layers(&layers)?;
            }
            Fact::Spawned { worker, pid } => writer.u32s(&[2, worker, pid])?,
            Fact::Failed { worker, step, errno } => {
                writer.u32s(&[3, worker, step as u32, errno.cast_unsigned()])?;
            }
            Fact::Escaped { worker, pid } => writer.u32s(&[4, worker, pid])?,
            Fact::Gone { worker, code, status, escaped } => {
                writer.u32s(&[5, worker, code.cast_unsigned(), status.cast_unsigned(), escaped])?;
            }
            Fact::Alive => writer.u32s(&[6])?,
            Fact::Keeping => writer.u32s(&[7])?,
            Fact::Held { worker, pid, has_input, others } => {
                writer.u32s(&[8, worker, pid, u32::from(has_input), others])?;
            }
        }
        Some(writer.finish())
    }
}

impl Fact {
    pub(crate) fn decode(message: &[u8]) -> Option<Fact> {
        let mut reader = Reader(message);
        let fact = match reader.u32()? {
            1 => Fact::Ready(reader.layers()?),
            2 => Fact::Spawned { worker: reader.u32()?, pid: reader.u32()? },
            3 => Fact::Failed { worker: reader.u32()?, step: reader.step()?, errno: reader.i32()? },
            4 => Fact::Escaped { worker: reader.u32()?, pid: reader.u32()? },
            5 => {
                Fact::Gone { worker: reader.u32()?, code: reader.i32()?, status: reader.i32()?, escaped: reader.u32()? }
            }
            6 => Fact::Alive,
            7 => Fact::Keeping,
            8 => {
                let (worker, pid) = (reader.u32()?, reader.u32()?);
                Fact::Held { worker, pid, has_input: reader.bool()?, others: reader.u32()? }
            }
            _ => return None,
        };
        reader.end(fact)
    }
}

struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at.checked_add(bytes.len())?;
        self.buffer.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    fn u32s(&mut self, numbers: &[u32]) -> Option<()> {
        numbers.iter().try_for_each(|number| self.bytes(&number.to_ne_bytes()))
    }

    fn u64(&mut self, number: u64) -> Option<()> {
        self.bytes(&number.to_ne_bytes())
    }

    fn layers(&mut self, layers: &Layers) -> Option<()> {
        let Layers { cgroup, clone_into_cgroup, mark, children_file, oom_protection } = *layers;
        let errnos = [cgroup, clone_into_cgroup, mark, children_file, oom_protection];
        self.u32s(&errnos.map(i32::cast_unsigned))
    }

    fn spawn(&mut self, spawn: &Spawn<'_>) -> Option<()> {
        let (uid, gid) = spawn.user.unwrap_or_default();
        let (fds, joins) = (u32::from(spawn.fds), u32::from(spawn.joins));
        let (no_new_privileges, is_quick) = (u32::from(spawn.no_new_privileges), u32::from(spawn.is_quick));
        self.u32s(&[spawn.worker, spawn.on_escape as u32, no_new_privileges, is_quick])?;
        self.u32s(&[u32::from(spawn.user.is_some()), uid, gid, fds, joins, spawn.args, spawn.env])?;
        self.u64(spawn.open_files)?;
        self.u64(spawn.address_space)?;
        match spawn.strings {
            Strings::Inline(strings) => {
                self.u32s(&[0])?;
                self.u64(strings.len() as u64)?;
                self.bytes(strings)
            }
            Strings::Memfd { length } => {
                self.u32s(&[1])?;
                self.u64(length)
            }
        }
    }

    fn finish(self) -> &'b [u8] {
        &self.buffer[..self.at]
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_ne_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.u32().map(u32::cast_signed)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes(8)?.try_into().ok().map(u64::from_ne_bytes)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn step(&mut self) -> Option<Step> {
        Step::from_number(self.u32()?)
    }

    fn layers(&mut self) -> Option<Layers> {
        Some(Layers {
            cgroup: self.i32()?,
            clone_into_cgroup: self.i32()?,
            mark: self.i32()?,
            children_file: self.i32()?,
            oom_protection: self.i32()?,
        })
    }

    fn spawn(&mut self) -> Option<Spawn<'a>> {
        let (worker, on_escape) = (self.worker()?, self.on_escape()?);
        let (no_new_privileges, is_quick) = (self.bool()?, self.bool()?);
        let (has_user, uid, gid) = (self.bool()?, self.u32()?, self.u32()?);
        let (fds, joins) = (self.u32()?.try_into().ok()?, self.u32()?.try_into().ok()?);
        let (args, env) = (self.u32()?, self.u32()?);
        let (open_files, address_space) = (self.u64()?, self.u64()?);
        let (in_memfd, length) = (self.bool()?, self.u64()?);
        let strings = match in_memfd {
            true => Strings::Memfd { length },
            false => Strings::Inline(self.bytes(length.try_into().ok()?)?),
        };
        let user = has_user.then_some((uid, gid));
        Some(Spawn {
            worker,
            on_escape,
            no_new_privileges,
            is_quick,
            user,
            open_files,
            address_space,
            fds,
            joins,
            args,
            env,
            strings,
        })
    }

    fn adopt(&mut self) -> Option<Adopt> {
        let (worker, on_escape) = (self.worker()?, self.on_escape()?);
        Some(Adopt { worker, on_escape, template: self.worker()?, pid: self.u32()?, own_leaf: self.bool()? })
    }

    fn worker(&mut self) -> Option<u32> {
        self.u32().filter(|worker| (1..=MAX_WORKER).contains(worker))
    }

    fn on_escape(&mut self) -> Option<OnEscape> {
        match self.u32()? {
            0 => Some(OnEscape::Kill),
            1 => Some(OnEscape::Report),
            2 => Some(OnEscape::Adopt),
            _ => None,
        }
    }

    /// A message has no tail.
    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests;
