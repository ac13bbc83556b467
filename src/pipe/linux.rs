//! The memory of a pipe, and how it is passed along a unix socket. The system calls here are the only unsafe code of `pipe`.
//!
//! The client makes the memory. The daemon takes it only if it has exactly the size of a pipe and keeps it, and then sees to it
//! that no part of it can be taken out either: so no access to it can fail. Neither side keeps the descriptor.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, Socket};

use super::{FORMAT, Pipe, Received};

/// The blocks of 512 bytes that the memory may have. It needs fewer, but the system may use one large page. With more of them behind its end,
/// giving it back would take long.
const BLOCK_LIMIT: u64 = (4 << 20) / 512;
/// The client's promise: its size stays.
const FIXED: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
/// The seals that the daemon adds: nobody may map the memory for writing again, or add further seals.
const CLOSED: i32 = libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SEAL;
/// Where a control message says its level, its kind and the first descriptor.
const LEVEL: usize = size_of::<usize>();
const KIND: usize = LEVEL + size_of::<i32>();
const DESCRIPTOR: usize = size_of::<libc::cmsghdr>();
/// Bytes of a control message with one descriptor.
const CONTROL: usize = DESCRIPTOR + size_of::<i32>();
/// Bytes of a control message with as many descriptors as the system passes at once. If there were less room, the system would close the rest
/// within the call, and that may take as long as the client likes.
const ROOM: usize = DESCRIPTOR + 253 * size_of::<i32>();

/// A pipe that is mapped into this process.
#[derive(Debug)]
pub(crate) struct Memory(NonNull<Pipe>);

// SAFETY: the mapping belongs to the process, and all in it is atomic.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// New memory with an empty pipe.
    fn create() -> io::Result<(Memory, OwnedFd)> {
        if file_size_limit() < size_of::<Pipe>() as libc::rlim_t {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name ends with a NUL, and the descriptor that comes back is nobody else's.
        let file = unsafe {
            match libc::memfd_create(c"torc-pipe".as_ptr(), flags) {
                -1 => return Err(io::Error::last_os_error()),
                descriptor => OwnedFd::from_raw_fd(descriptor),
            }
        };
        let file = File::from(file);
        file.set_len(size_of::<Pipe>() as u64)?;
        seal(&file, FIXED)?;
        fill(&file)?;
        let memory = Memory::map(&file)?;
        memory.format.0.store(FORMAT, Relaxed);
        Ok((memory, file.into()))
    }

    /// Memory that a client has made, if it keeps to the rules.
    fn examine(file: &File) -> Option<Memory> {
        if seals(file).is_none_or(|seals| seals & FIXED != FIXED) {
            return None;
        }
        let metadata = file.metadata().ok()?;
        if metadata.len() != size_of::<Pipe>() as u64 || metadata.blocks() > BLOCK_LIMIT {
            return None;
        }
        let memory = Memory::map(file).ok()?;
        seal(file, CLOSED).ok()?;
        fill(file).ok()?;
        (memory.format.0.load(Relaxed) == FORMAT).then_some(memory)
    }

    fn map(file: &File) -> io::Result<Memory> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: the system chooses a place where nothing is.
        let start = unsafe { libc::mmap(ptr::null_mut(), size_of::<Pipe>(), access, flags, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast()).map(Memory).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// Wakes a writer that waits.
    pub(crate) fn wake(&self) {
        let word = self.waiting.0.as_ptr();
        // SAFETY: the word is in the mapping. The call only compares addresses.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, 1) };
    }

    /// Waits for [`Memory::wake`] while a writer is said to wait, for at most this long.
    pub(crate) fn wait(&self, limit: Duration) {
        let limit = libc::timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: limit.subsec_nanos() as libc::c_long,
        };
        let word = self.waiting.0.as_ptr();
        // SAFETY: the word is in the mapping, and the time lives until the call returns.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, 1, &raw const limit) };
    }
}

impl Deref for Memory {
    type Target = Pipe;

    fn deref(&self) -> &Pipe {
        // SAFETY: the mapping is as large as a pipe, begins at a page, and lives as long as `self`. Its size is sealed, so every
        // access finds memory. All of it is atomic, for which any bytes are good and which others may change.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: nobody has a reference to the mapping any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Pipe>()) };
    }
}

/// Makes a pipe and passes it along with one byte of the stream. An error leaves the byte unwritten.
pub(crate) fn offer(socket: &Socket, byte: u8, flags: i32) -> io::Result<Memory> {
    let (memory, file) = Memory::create()?;
    let mut control = [0; CONTROL];
    control[..LEVEL].copy_from_slice(&CONTROL.to_ne_bytes());
    for (at, value) in [(LEVEL, libc::SOL_SOCKET), (KIND, libc::SCM_RIGHTS), (DESCRIPTOR, file.as_raw_fd())] {
        control[at..at + size_of::<i32>()].copy_from_slice(&value.to_ne_bytes());
    }
    let (bytes, control) = ([byte], &control[..]);
    let parts = [IoSlice::new(&bytes)];
    loop {
        match socket.sendmsg(&MsgHdr::new().with_buffers(&parts).with_control(control), flags) {
            Ok(1) => return Ok(memory),
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads what is there, and what is passed along with the last of it.
pub(crate) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = [MaybeUninit::new(0); ROOM];
    // SAFETY: bytes may always hold bytes that are not initialized here, and the call only writes to them.
    let buffer = unsafe { &mut *(ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
    let mut buffers = [MaybeUninitSlice::new(buffer)];
    let mut message = MsgHdrMut::new().with_buffers(&mut buffers).with_control(&mut control);
    let count = socket.recvmsg(&mut message, libc::MSG_CMSG_CLOEXEC)?;
    if message.control_len() < CONTROL {
        return Ok(Received { count, ..Received::default() });
    }
    // SAFETY: all of it was initialized above.
    let control = control.map(|byte| unsafe { byte.assume_init() });
    Ok(Received { count, files: passed(&control) })
}

/// The pipe in the memory that a client has passed, or the file again. The client may make this wait: the system locks the file, and the client
/// may hold the lock.
pub(crate) fn accept(file: OwnedFd) -> Result<Memory, OwnedFd> {
    let file = File::from(file);
    Memory::examine(&file).ok_or_else(|| file.into())
}

/// The descriptors in a control message of the system.
fn passed(control: &[u8; ROOM]) -> Vec<OwnedFd> {
    let number = |at: usize| control[at..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    if number(LEVEL) != libc::SOL_SOCKET || number(KIND) != libc::SCM_RIGHTS {
        return Vec::new();
    }
    let length = control.first_chunk().map_or(0, |bytes| usize::from_ne_bytes(*bytes)).min(ROOM);
    let places = (DESCRIPTOR..).step_by(size_of::<i32>()).take_while(|at| at + size_of::<i32>() <= length);
    // SAFETY: the system has opened the descriptors for this call, and nobody else knows them.
    places.map(|at| unsafe { OwnedFd::from_raw_fd(number(at)) }).collect()
}

/// How large a file of this process may become. Growing one beyond that would end the process by a signal.
fn file_size_limit() -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes to `limit`, which lives until it returns.
    match unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } {
        0 => limit.rlim_cur,
        _ => 0,
    }
}

/// Only memory has seals, so what has them is no file on some disk.
fn seals(file: &impl AsRawFd) -> Option<i32> {
    // SAFETY: the command takes nothing.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    (seals >= 0).then_some(seals)
}

fn seal(file: &File, seals: i32) -> io::Result<()> {
    // SAFETY: the command takes a number.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the system find memory for all of it now: later it could only end whoever accesses it.
fn fill(file: &File) -> io::Result<()> {
    // SAFETY: the call takes numbers.
    match unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size_of::<Pipe>() as libc::off_t) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::super::{Next, Reader, Writer};
    use super::*;

    fn pair() -> (Socket, Socket) {
        let (one, other) = UnixStream::pair().unwrap();
        (OwnedFd::from(one).into(), OwnedFd::from(other).into())
    }

    /// Memory of this many bytes with these seals.
    fn memory(bytes: usize, seals: i32) -> File {
        // SAFETY: the name ends with a NUL, and the descriptor that comes back is nobody else's.
        let file = unsafe { File::from_raw_fd(libc::memfd_create(c"test".as_ptr(), libc::MFD_ALLOW_SEALING)) };
        file.set_len(bytes as u64).unwrap();
        seal(&file, seals).unwrap();
        file
    }

    #[test]
    fn a_pipe_comes_with_its_byte_and_after_what_was_sent_before() {
        let (client, daemon) = pair();
        (&client).write_all(b"before").unwrap();
        let near = offer(&client, b'x', libc::MSG_NOSIGNAL).unwrap();
        (&client).write_all(b"after").unwrap();
        let mut buffer = [0; 100];
        let Received { count, mut files } = receive(&daemon, &mut buffer).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(&buffer[..count], b"beforex", "nothing is read that comes after the pipe");
        let far = accept(files.remove(0)).expect("a pipe");
        let mut writer = Writer::default();
        writer.write(&near, &[IoSlice::new(b"through memory")]).unwrap();
        assert_eq!(Reader::default().next(&far, &mut buffer), Ok(Next::Bytes(14)));
        assert!(matches!(receive(&daemon, &mut buffer), Ok(Received { count: 5, .. })));
    }

    #[test]
    fn a_daemon_that_does_not_understand_reads_the_stream_as_ever() {
        let (client, mut daemon) = pair();
        offer(&client, b'x', libc::MSG_NOSIGNAL).unwrap();
        assert_eq!(io::Read::read(&mut daemon, &mut [0; 10]).unwrap(), 1);
    }

    #[test]
    fn memory_that_could_fail_is_not_taken() {
        const SIZE: usize = size_of::<Pipe>();
        let format = |file: &File| Memory::map(file).unwrap().format.0.store(FORMAT, Relaxed);
        let good = memory(SIZE, FIXED);
        format(&good);
        assert!(accept(good.into()).is_ok());
        assert!(accept(memory(SIZE, FIXED).into()).is_err(), "another format");
        let wrong = [
            memory(SIZE, libc::F_SEAL_GROW),
            memory(SIZE, FIXED | libc::F_SEAL_SEAL),
            memory(SIZE - 1, FIXED),
            memory(SIZE + 4096, FIXED),
        ];
        for file in wrong {
            if file.metadata().unwrap().len() >= SIZE as u64 {
                format(&file);
            }
            assert!(accept(file.into()).is_err());
        }
        assert!(accept(memory(SIZE, FIXED | libc::F_SEAL_WRITE).into()).is_err());
        assert!(accept(File::open("/dev/zero").unwrap().into()).is_err());
    }

    #[test]
    fn no_part_of_it_can_be_taken_out_once_it_is_accepted() {
        let (near, file) = Memory::create().unwrap();
        let file = File::from(file);
        let far = accept(file.try_clone().unwrap().into()).unwrap();
        let whole = size_of::<Pipe>() as libc::off_t;
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: the call takes numbers.
        assert_eq!(unsafe { libc::fallocate(file.as_raw_fd(), punch, 0, whole) }, -1);
        // SAFETY: the range is one mapping, of which nothing else is used here.
        assert_eq!(unsafe { libc::madvise(near.0.as_ptr().cast(), whole as usize, libc::MADV_REMOVE) }, -1);
        assert!(file.set_len(0).is_err());
        drop(far);
    }

    /// Closing them may take long, so the caller decides where that is done.
    #[test]
    fn everything_that_is_passed_is_handed_out() {
        let (client, daemon) = pair();
        let files: Vec<_> = (0..3).map(|_| File::open("/dev/null").unwrap()).collect();
        let mut control = [0; 32];
        control[..LEVEL].copy_from_slice(&(DESCRIPTOR + 12).to_ne_bytes());
        control[LEVEL..KIND].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        control[KIND..DESCRIPTOR].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
        for (file, at) in files.iter().zip((DESCRIPTOR..).step_by(4)) {
            control[at..at + 4].copy_from_slice(&file.as_raw_fd().to_ne_bytes());
        }
        let parts = [IoSlice::new(b"x")];
        client.sendmsg(&MsgHdr::new().with_buffers(&parts).with_control(&control), 0).unwrap();
        let received = receive(&daemon, &mut [0; 10]).unwrap();
        assert_eq!((received.count, received.files.len()), (1, 3));
    }

    #[test]
    fn who_waits_is_woken() {
        let (near, file) = Memory::create().unwrap();
        let far = accept(file).unwrap();
        near.waiting.0.store(1, Relaxed);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                while near.waiting.0.load(Relaxed) == 1 {
                    near.wait(Duration::from_secs(1000));
                }
            });
            far.waiting.0.store(0, Relaxed);
            while !waiter.is_finished() {
                far.wake();
                std::thread::yield_now();
            }
        });
        near.wait(Duration::from_secs(1000));
    }
}
