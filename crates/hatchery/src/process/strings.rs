//! The strings of an order to spawn, packed: in the message if they are few, else in a sealed memfd.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::cage::Cage;
use super::guardian::message::{self, MAX_INLINE, Spawn};
use super::spawn::{Confinement, SpawnError, os};

/// Each ended by NUL, in the order of [`message::Strings`].
pub(super) struct Strings {
    bytes: Vec<u8>,
    /// The same bytes, if there are too many for a message.
    memfd: Option<OwnedFd>,
    args: usize,
    env: usize,
}

impl Strings {
    /// The first argument is the path and not the name that was asked for: programs find their own files by it (Python
    /// does), from whatever directory they are started in.
    pub(super) fn pack(
        program: &Path,
        cwd: Option<&Path>,
        args: Vec<OsString>,
        env: Vec<(OsString, OsString)>,
    ) -> Result<Strings, SpawnError> {
        let mut strings =
            Strings { bytes: Vec::with_capacity(8 << 10), memfd: None, args: args.len() + 1, env: env.len() };
        strings.push("the program's path", program.as_os_str())?;
        let here = || std::env::current_dir().unwrap_or_default();
        strings.push("the directory", cwd.map_or_else(here, Path::to_owned).as_os_str())?;
        strings.push("the program's path", program.as_os_str())?;
        for arg in args {
            strings.push("an argument", &arg)?;
        }
        for (mut entry, value) in env {
            entry.push("=");
            entry.push(value);
            strings.push("the environment", &entry)?;
        }
        if strings.bytes.len() > MAX_INLINE {
            strings.memfd = Some(sealed(&strings.bytes).map_err(os("store its arguments and environment"))?);
        }
        Ok(strings)
    }

    pub(super) fn memfd(&self) -> Option<&OwnedFd> {
        self.memfd.as_ref()
    }

    pub(super) fn inline_length(&self) -> usize {
        if self.memfd.is_some() { 0 } else { self.bytes.len() }
    }

    pub(super) fn order(
        &self,
        worker: u32,
        confinement: &Confinement,
        cage: &Cage,
        (fds, joins): (usize, usize),
        is_quick: bool,
    ) -> Result<Spawn<'_>, SpawnError> {
        let too_many = |_| os("place its descriptors")(io::Error::other("more than a message can carry"));
        let strings = match &self.memfd {
            Some(_) => message::Strings::Memfd { length: self.bytes.len() as u64 },
            None => message::Strings::Inline(&self.bytes),
        };
        Ok(Spawn {
            worker,
            on_escape: confinement.on_escape,
            no_new_privileges: confinement.no_new_privileges,
            is_quick,
            user: confinement.user,
            open_files: cage.open_files().unwrap_or(0),
            address_space: cage.address_space().unwrap_or(0),
            fds: fds.try_into().map_err(too_many)?,
            joins: joins.try_into().map_err(too_many)?,
            args: u32::try_from(self.args).unwrap_or(u32::MAX),
            env: u32::try_from(self.env).unwrap_or(u32::MAX),
            strings,
        })
    }

    fn push(&mut self, what: &'static str, text: &OsStr) -> Result<(), SpawnError> {
        if text.as_bytes().contains(&0) {
            return Err(SpawnError::Nul { what, text: text.to_owned() });
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        Ok(())
    }
}

pub(super) fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let memfd = memfd_create("hatchery-order", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memfd);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file.into())
}
