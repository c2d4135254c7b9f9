//! The only `unsafe` of the journal: memory shared with other processes through a mapped file.
//!
//! Why it is sound: the mapping lives as long as the `Mapping` that lends it out; it is page-aligned and never moved;
//! and it is only ever seen as `AtomicU64`, so that another process's store is an atomic store and never a data race.
//! A read-only mapping is only loaded from: its owner gets no way to store (see `commit::Reader`).
#![allow(unsafe_code)]

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

/// A shared mapping of the start of a file.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: the memory is not tied to a thread, and is reached through atomics only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes` bytes, a multiple of eight; the file must have them.
    pub(crate) fn new(file: BorrowedFd<'_>, bytes: usize, writable: bool) -> io::Result<Mapping> {
        let access = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { mmap(ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0)? };
        let start = NonNull::new(start).ok_or_else(|| io::Error::other("mmap returned null"))?;
        Ok(Mapping { start, bytes })
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, `bytes` long, mapped until drop, and every bit pattern is an AtomicU64.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<AtomicU64>(), self.bytes / 8) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; no borrow of it outlives `self`. An error leaves it mapped.
        let _ = unsafe { munmap(self.start.as_ptr(), self.bytes) };
    }
}
