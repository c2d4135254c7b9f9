//! One image of a disk, shared by all cases, and on top of it what one case changes.

use ordergate_journal::commit;
use ordergate_journal::disk::{DirLock, Disk, DiskFile, SharedPage};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files by path.
pub type Image = BTreeMap<PathBuf, Arc<Vec<u8>>>;

type Bytes = Arc<Mutex<Vec<u8>>>;

/// What happened to one file.
#[derive(Debug, Clone, Copy)]
pub enum Damage {
    /// It ends at this byte.
    Truncated(usize),
    /// Bit `1` of byte `0` is another.
    Flipped(usize, u8),
}

/// The image with one file damaged. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct Overlay(Arc<Case>);

#[derive(Debug)]
struct Case {
    image: Arc<Image>,
    damaged: (PathBuf, Damage),
    /// Files written since, `None` for removed.
    written: Mutex<BTreeMap<PathBuf, Option<Bytes>>>,
    page: Mutex<Option<Arc<Vec<AtomicU64>>>>,
}

#[derive(Debug)]
struct File {
    case: Arc<Case>,
    path: PathBuf,
    base: Option<Arc<Vec<u8>>>,
}

struct Page(Arc<Vec<AtomicU64>>);

#[derive(Debug)]
struct Free;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Overlay {
    pub fn new(image: &Arc<Image>, path: &Path, damage: Damage) -> Overlay {
        Overlay(Arc::new(Case {
            image: Arc::clone(image),
            damaged: (path.to_owned(), damage),
            written: Mutex::default(),
            page: Mutex::default(),
        }))
    }

    /// True when nothing was written, removed or created.
    pub fn is_untouched(&self) -> bool {
        let commit = self.0.image.keys().find(|path| path.ends_with(commit::NAME));
        let found = commit.and_then(|path| self.0.base(path)).unwrap_or_default();
        let is_same = |page: &Arc<Vec<AtomicU64>>| {
            let now = page.iter().map(|word| word.load(Ordering::SeqCst).to_ne_bytes());
            now.zip(found.chunks_exact(8)).all(|(now, found)| now == found)
        };
        held(&self.0.written).is_empty() && held(&self.0.page).as_ref().is_none_or(is_same)
    }

    /// A file's bytes now.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        match held(&self.0.written).get(path) {
            Some(now) => now.as_ref().map(|bytes| held(bytes).clone()),
            None => self.0.base(path),
        }
    }
}

impl Case {
    /// As it was found.
    fn base(&self, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = self.image.get(path)?.to_vec();
        match self.damage(path) {
            Some(Damage::Truncated(len)) => bytes.truncate(len),
            Some(Damage::Flipped(at, bit)) => bytes[at] ^= 1 << bit,
            None => {}
        }
        Some(bytes)
    }

    fn damage(&self, path: &Path) -> Option<Damage> {
        (self.damaged.0 == path).then_some(self.damaged.1)
    }
}

impl File {
    fn written(&self) -> Option<Bytes> {
        held(&self.case.written).get(&self.path).cloned().flatten()
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        if let Some(bytes) = self.written() {
            return Ok(held(&bytes).len() as u64);
        }
        let len = self.base.as_ref().map_or(0, |base| base.len());
        Ok(match self.case.damage(&self.path) {
            Some(Damage::Truncated(len)) => len as u64,
            _ => len as u64,
        })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let copy = |bytes: &[u8], buf: &mut [u8]| {
            let start = offset.min(bytes.len());
            let got = buf.len().min(bytes.len() - start);
            buf[..got].copy_from_slice(&bytes[start..start + got]);
            got
        };
        if let Some(bytes) = self.written() {
            return Ok(copy(&held(&bytes), buf));
        }
        let base: &[u8] = self.base.as_ref().map_or(&[], |base| base.as_slice());
        Ok(match self.case.damage(&self.path) {
            Some(Damage::Truncated(len)) => copy(&base[..len], buf),
            Some(Damage::Flipped(at, bit)) => {
                let got = copy(base, buf);
                if (offset..offset + got).contains(&at) {
                    buf[at - offset] ^= 1 << bit;
                }
                got
            }
            None => copy(base, buf),
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let mut written = held(&self.case.written);
        let now = written.entry(self.path.clone()).or_default();
        let file = now.get_or_insert_with(|| Arc::new(Mutex::new(self.case.base(&self.path).unwrap_or_default())));
        let mut file = held(file);
        if file.len() < start + bytes.len() {
            file.resize(start + bytes.len(), 0);
        }
        file[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl SharedPage for Page {
    fn words(&self) -> &[AtomicU64] {
        &self.0
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DirLock for Free {}

impl Disk for Overlay {
    fn make_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn writable_by_others(&self, _dir: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let written = held(&self.0.written);
        let added = written.iter().filter(|(_, now)| now.is_some()).map(|(path, _)| path);
        let kept = self.0.image.keys().filter(|path| !written.contains_key(*path));
        let inside = added.chain(kept).filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        Ok(Some(Box::new(Free)))
    }

    fn is_locked(&self, _path: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        held(&self.0.written).insert(path.to_owned(), Some(Arc::default()));
        self.open(path, true)
    }

    fn open(&self, path: &Path, _writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        let base = match held(&self.0.written).get(path) {
            Some(Some(_)) => None,
            Some(None) => return Err(ErrorKind::NotFound.into()),
            None => Some(Arc::clone(self.0.image.get(path).ok_or(ErrorKind::NotFound)?)),
        };
        Ok(Arc::new(File {
            case: Arc::clone(&self.0),
            path: path.to_owned(),
            base,
        }))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn reserve(&self, path: &Path, _bytes: u64) -> io::Result<()> {
        self.create(path).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let bytes = self.contents(from).ok_or(ErrorKind::NotFound)?;
        let mut written = held(&self.0.written);
        written.insert(from.to_owned(), None);
        written.insert(to.to_owned(), Some(Arc::new(Mutex::new(bytes))));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let known = self.0.image.contains_key(path);
        match held(&self.0.written).entry(path.to_owned()) {
            std::collections::btree_map::Entry::Occupied(mut now) if now.get().is_some() => {
                now.insert(None);
                Ok(())
            }
            std::collections::btree_map::Entry::Vacant(place) if known => {
                place.insert(None);
                Ok(())
            }
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, path: &Path, _writable: bool) -> io::Result<Arc<dyn SharedPage>> {
        let mut page = held(&self.0.page);
        if page.is_none() {
            let bytes = self.contents(path).ok_or(ErrorKind::NotFound)?;
            let words = bytes
                .get(..commit::BYTES)
                .ok_or(ErrorKind::InvalidData)?
                .chunks_exact(8);
            let word = |word: &[u8]| u64::from_ne_bytes(word.try_into().unwrap_or_default());
            *page = Some(Arc::new(words.map(|bytes| AtomicU64::new(word(bytes))).collect()));
        }
        let page = page.as_ref().ok_or(ErrorKind::NotFound)?;
        Ok(Arc::new(Page(Arc::clone(page))))
    }
}
