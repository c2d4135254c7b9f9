//! The simulated disk behind the journal's traits.

use super::Fault;
use super::{NameChange, Node, SECTOR, SimDisk, Verdict};
use crate::disk::{DirLock, Disk, DiskFile, SharedPage};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: usize,
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

struct SimPage {
    disk: SimDisk,
    node: usize,
    page: Arc<Vec<AtomicU64>>,
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.alive()?.nodes[self.node].written.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.alive()?;
        let bytes = &state.nodes[self.node].written;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let got = buf.len().min(bytes.len() - start);
        buf[..got].copy_from_slice(&bytes[start..start + got]);
        Ok(got)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let verdict = SimDisk::verdict(&mut state)?;
        let start = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let full = matches!(state.fault, Some(Fault::Full(at)) if state.operations >= at);
        let free = state.free();
        let node = &mut state.nodes[self.node];
        let len = match verdict {
            Verdict::Go | Verdict::DoAndDie => bytes.len(),
            Verdict::Partly => bytes.len() / 2,
            Verdict::Fail => 0,
        };
        if start + len > node.written.len() {
            if full || (start + len - node.written.len()) as u64 > free {
                return Err(ErrorKind::StorageFull.into());
            }
            node.written.resize(start + len, 0);
        }
        if len > 0 {
            node.written[start..start + len].copy_from_slice(&bytes[..len]);
            node.dirty.extend(start / SECTOR..=(start + len - 1) / SECTOR);
        }
        SimDisk::result(&verdict)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_node(self.node)
    }
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.0.lock().locked.remove(&self.path);
    }
}

impl SharedPage for SimPage {
    fn words(&self) -> &[AtomicU64] {
        &self.page
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_node(self.node)
    }
}

impl Disk for SimDisk {
    fn make_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn writable_by_others(&self, _dir: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.alive()?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        let taken = !self.alive()?.locked.insert(path.to_owned());
        Ok(if taken {
            None
        } else {
            Some(Box::new(SimLock {
                disk: self.clone(),
                path: path.to_owned(),
            }))
        })
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        Ok(self.alive()?.locked.contains(path))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut made = 0;
        self.change(|state| {
            made = state.nodes.len();
            state.nodes.push(Node::default());
            Ok(vec![NameChange::Set(path.to_owned(), made)])
        })?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            node: made,
        }))
    }

    fn open(&self, path: &Path, _writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        let node = *self.alive()?.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            node,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| {
            let node = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
            Ok(vec![
                NameChange::Remove(from.to_owned()),
                NameChange::Set(to.to_owned(), node),
            ])
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            state.names.get(path).ok_or(ErrorKind::NotFound)?;
            Ok(vec![NameChange::Remove(path.to_owned())])
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let verdict = SimDisk::verdict(&mut state)?;
        if matches!(verdict, Verdict::Go | Verdict::DoAndDie) && !state.lying {
            let (done, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut state.changes)
                .into_iter()
                .partition(|change| change.is_in(dir));
            for change in done {
                change.apply(&mut state.durable_names);
            }
            state.changes = rest;
        }
        SimDisk::result(&verdict)
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.alive()?.free())
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        if self.free_bytes(path)? < bytes {
            return Err(ErrorKind::StorageFull.into());
        }
        self.create(path)?;
        let mut state = self.alive()?;
        let node = state.names[path];
        let len = usize::try_from(bytes).map_err(|_| ErrorKind::FileTooLarge)?;
        (state.nodes[node].written, state.nodes[node].synced) = (vec![0; len], vec![0; len]);
        Ok(())
    }

    fn map(&self, path: &Path, _writable: bool) -> io::Result<Arc<dyn SharedPage>> {
        let mut state = self.alive()?;
        let node = *state.names.get(path).ok_or(ErrorKind::NotFound)?;
        let known = &mut state.nodes[node];
        if known.written.len() < crate::commit::BYTES {
            return Err(ErrorKind::InvalidData.into());
        }
        let page = known.page.get_or_insert_with(|| {
            let words = known.written[..crate::commit::BYTES].chunks_exact(8);
            let number = |word: &[u8]| word.iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
            Arc::new(words.map(|word| AtomicU64::new(number(word).to_le())).collect())
        });
        let page = Arc::clone(page);
        Ok(Arc::new(SimPage {
            disk: self.clone(),
            node,
            page,
        }))
    }
}
