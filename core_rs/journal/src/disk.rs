//! The disk as the journal needs it: a seam, so that tests can lose power. The real one goes through rustix.

use crate::map::Mapping;
use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use rustix::io::Errno;
use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How often a lock is asked for before another writer is taken to hold it.
const LOOKS: u32 = 5;

/// A file that is written and read at offsets.
pub trait DiskFile: Send + Sync + Debug {
    /// Bytes in it.
    ///
    /// # Errors
    /// What the system says, as everywhere in this trait.
    fn len(&self) -> io::Result<u64>;

    /// Fills `buf` from `offset`; fewer bytes only at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the system says; any part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes everything written so far survive a loss of power. After an error nothing is known, and trying again
    /// proves nothing.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;

    /// True when it holds no byte.
    ///
    /// # Errors
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A page of memory that processes share through a file.
pub trait SharedPage: Send + Sync {
    /// Its words.
    fn words(&self) -> &[AtomicU64];

    /// Makes it survive a loss of power.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;
}

/// Held until dropped.
pub trait DirLock: Send + Sync + Debug {}

/// Files by path.
pub trait Disk: Send + Sync + Debug {
    /// Creates the directory (0700) unless it exists.
    ///
    /// # Errors
    /// What the system says, as everywhere in this trait.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// True when group or world may write into it.
    ///
    /// # Errors
    /// What the system says.
    fn writable_by_others(&self, dir: &Path) -> io::Result<bool>;

    /// Names in a directory.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Takes the exclusive lock on a file, or `None` when another holds it.
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>>;

    /// True while another holds the lock on a file. Changes nothing, and takes the lock for no longer than it looks.
    ///
    /// # Errors
    /// What the system says.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;

    /// A new, empty file (0600); one of that name is emptied.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// An existing file, for reading or for both.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames, replacing. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that may still be written on the file system of a directory.
    ///
    /// # Errors
    /// What the system says.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// A new file (0600) of so many bytes that nobody else can take: blocks without content. Fails with `StorageFull`
    /// where there is no room, and then leaves no file.
    ///
    /// # Errors
    /// What the system says.
    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Maps the first [`crate::commit::BYTES`] bytes of a file, shared with every other process.
    ///
    /// # Errors
    /// What the system says; `InvalidData` when the file is shorter.
    fn map(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn SharedPage>>;
}

/// The system's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

#[derive(Debug)]
struct RealLock {
    /// The lock lives as long as the open file.
    _file: File,
}

impl DirLock for RealLock {}

struct RealPage {
    file: File,
    mapping: Mapping,
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match rustix::io::pread(&self.0, &mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pwrite(&self.0, &bytes[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        // Flushes what is needed to read the bytes back, the length included, but not the times.
        Ok(rustix::fs::fdatasync(&self.0)?)
    }
}

impl SharedPage for RealPage {
    fn words(&self) -> &[AtomicU64] {
        self.mapping.words()
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.file)?)
    }
}

impl Disk for RealDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        dir.parent().map_or(Ok(()), |parent| self.sync_dir(parent))
    }

    fn writable_by_others(&self, dir: &Path) -> io::Result<bool> {
        Ok(std::fs::metadata(dir)?.mode() & 0o022 != 0)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        for look in 0..LOOKS {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Box::new(RealLock { _file: file }))),
                // Perhaps somebody who only looks: see `is_locked`.
                Err(Errno::WOULDBLOCK) if look + 1 < LOOKS => std::thread::sleep(Duration::from_millis(2)),
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let file = match open_existing(path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(open_existing(path, writable)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        };
        Ok(rustix::fs::fsync(File::open(dir)?)?)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        let reserved = match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => io::copy(&mut io::repeat(0).take(bytes), &mut &file).map(drop),
            result => result.map_err(io::Error::from),
        };
        if reserved.is_err() {
            std::fs::remove_file(path)?;
        }
        reserved
    }

    fn map(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn SharedPage>> {
        let file = open_existing(path, writable)?;
        // Touching a page beyond the end of its file is a SIGBUS.
        if file.metadata()?.len() < crate::commit::BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "shorter than it was made"));
        }
        let mapping = Mapping::new(file.as_fd(), crate::commit::BYTES, writable)?;
        Ok(Arc::new(RealPage { file, mapping }))
    }
}

fn open_existing(path: &Path, writable: bool) -> io::Result<File> {
    // Neither a link that somebody laid nor a pipe that blocks.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(writable)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}
