//! Linux on 64-bit ARM: how the program begins, how the kernel is called, and what it calls its calls.

use core::arch::{asm, global_asm};

global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "bl {start}",
    "brk #0",
    start = sym super::start,
);

/// # Safety
///
/// The arguments must be what the call takes: the kernel writes where they point.
pub(super) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel's convention; it changes nothing but `x0` and memory that the arguments point to, which is
    // the caller's promise.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a.cast_signed() => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}

/// The call returns twice on one stack: here, and in a child that shares our memory, which goes to `begin` and never
/// comes back. What it leaves below our frame is nobody's.
///
/// # Safety
///
/// As [`syscall`]; and the caller stands still until the child has other memory or is gone (`CLONE_VFORK`).
pub(super) unsafe fn syscall_and_begin(
    number: usize,
    arguments: [usize; 6],
    begin: extern "C" fn(usize) -> !,
    life: usize,
) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: as above. The stack is aligned for a call, for `nostack` is not set.
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "br x21",
            "2:",
            in("x8") number,
            inlateout("x0") a.cast_signed() => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            in("x20") life, in("x21") begin, lateout("x30") _,
        );
    }
    result
}

pub(super) const O_DIRECTORY: usize = 0o40_000;

pub(super) const DUP3: usize = 24;
pub(super) const FCNTL: usize = 25;
pub(super) const MKDIRAT: usize = 34;
pub(super) const UNLINKAT: usize = 35;
pub(super) const MOUNT: usize = 40;
pub(super) const CHDIR: usize = 49;
pub(super) const OPENAT: usize = 56;
pub(super) const CLOSE: usize = 57;
pub(super) const PIPE2: usize = 59;
pub(super) const GETDENTS64: usize = 61;
pub(super) const LSEEK: usize = 62;
pub(super) const READ: usize = 63;
pub(super) const WRITE: usize = 64;
pub(super) const PPOLL: usize = 73;
pub(super) const SIGNALFD4: usize = 74;
pub(super) const READLINKAT: usize = 78;
pub(super) const EXIT_GROUP: usize = 94;
pub(super) const WAITID: usize = 95;
pub(super) const TIMER_CREATE: usize = 107;
pub(super) const TIMER_SETTIME: usize = 110;
pub(super) const CLOCK_GETTIME: usize = 113;
pub(super) const SCHED_YIELD: usize = 124;
pub(super) const KILL: usize = 129;
pub(super) const RT_SIGACTION: usize = 134;
pub(super) const RT_SIGPROCMASK: usize = 135;
pub(super) const SETRESUID: usize = 147;
pub(super) const SETRESGID: usize = 149;
pub(super) const GETPGID: usize = 155;
pub(super) const SETSID: usize = 157;
pub(super) const SETGROUPS: usize = 159;
pub(super) const PRCTL: usize = 167;
pub(super) const GETPID: usize = 172;
pub(super) const GETPPID: usize = 173;
pub(super) const GETEUID: usize = 175;
pub(super) const GETEGID: usize = 177;
pub(super) const GETSOCKOPT: usize = 209;
pub(super) const SENDMSG: usize = 211;
pub(super) const RECVMSG: usize = 212;
pub(super) const MUNMAP: usize = 215;
pub(super) const CLONE: usize = 220;
pub(super) const EXECVE: usize = 221;
pub(super) const MMAP: usize = 222;
pub(super) const ACCEPT4: usize = 242;
pub(super) const PRLIMIT64: usize = 261;
pub(super) const SCHED_SETATTR: usize = 274;
pub(super) const SCHED_GETATTR: usize = 275;
