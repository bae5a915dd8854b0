//! What lies in a data dir: folders that are ours, and SQLite files that are written behind by a thread of their own. What stands
//! in the files is known by the rooms above.

mod database;
mod folder;
mod writer;

pub(crate) use database::{Database, DatabaseError, Layout, Opened, is_damage, open_to_read};
pub(crate) use folder::{Folder, Refusal, is_free, lock};
pub(crate) use writer::Writer;
