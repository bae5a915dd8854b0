//! Linux on x86-64: how the program begins, how the kernel is called, and what it calls its calls.

use core::arch::{asm, global_asm};

global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym super::start,
);

/// # Safety
///
/// The arguments must be what the call takes: the kernel writes where they point.
pub(super) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel's convention; it changes `rcx`, `r11` and memory that the arguments point to, which is the
    // caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number.cast_signed() => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
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
    // SAFETY: as above. The stack is aligned for a call, and its red zone not in use, for `nostack` is not set.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") number.cast_signed() => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            in("r12") life, in("r13") begin,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

pub(super) const O_DIRECTORY: usize = 0o200_000;

pub(super) const READ: usize = 0;
pub(super) const WRITE: usize = 1;
pub(super) const CLOSE: usize = 3;
pub(super) const LSEEK: usize = 8;
pub(super) const MMAP: usize = 9;
pub(super) const MUNMAP: usize = 11;
pub(super) const RT_SIGACTION: usize = 13;
pub(super) const RT_SIGPROCMASK: usize = 14;
pub(super) const SCHED_YIELD: usize = 24;
pub(super) const GETPID: usize = 39;
pub(super) const SENDMSG: usize = 46;
pub(super) const RECVMSG: usize = 47;
pub(super) const GETSOCKOPT: usize = 55;
pub(super) const CLONE: usize = 56;
pub(super) const EXECVE: usize = 59;
pub(super) const KILL: usize = 62;
pub(super) const FCNTL: usize = 72;
pub(super) const CHDIR: usize = 80;
pub(super) const GETEUID: usize = 107;
pub(super) const GETEGID: usize = 108;
pub(super) const GETPPID: usize = 110;
pub(super) const SETSID: usize = 112;
pub(super) const SETGROUPS: usize = 116;
pub(super) const SETRESUID: usize = 117;
pub(super) const SETRESGID: usize = 119;
pub(super) const GETPGID: usize = 121;
pub(super) const PRCTL: usize = 157;
pub(super) const MOUNT: usize = 165;
pub(super) const GETDENTS64: usize = 217;
pub(super) const TIMER_CREATE: usize = 222;
pub(super) const TIMER_SETTIME: usize = 223;
pub(super) const CLOCK_GETTIME: usize = 228;
pub(super) const EXIT_GROUP: usize = 231;
pub(super) const WAITID: usize = 247;
pub(super) const OPENAT: usize = 257;
pub(super) const MKDIRAT: usize = 258;
pub(super) const UNLINKAT: usize = 263;
pub(super) const READLINKAT: usize = 267;
pub(super) const PPOLL: usize = 271;
pub(super) const ACCEPT4: usize = 288;
pub(super) const SIGNALFD4: usize = 289;
pub(super) const DUP3: usize = 292;
pub(super) const PIPE2: usize = 293;
pub(super) const PRLIMIT64: usize = 302;
pub(super) const SCHED_SETATTR: usize = 314;
pub(super) const SCHED_GETATTR: usize = 315;
