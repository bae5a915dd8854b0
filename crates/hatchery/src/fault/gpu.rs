//! Errors of graphics cards, as their runtimes and the libraries above them word them.

use super::Device;

/// An error that some runtime of a card reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GpuError {
    pub(super) device: Device,
    pub(super) fault: Fault,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The card had no memory left.
    OutOfMemory,
    /// The process can use the card no more, whatever it does (`cudaErrorIllegalAddress` and its like).
    Fatal,
    /// Anything else.
    Other,
}

const CUDA: [&str; 6] =
    ["cuda error", "cudaerror", "cuda_error_", "cudnn_status_", "cublas_status_", "cuda out of memory"];
const HIP: [&str; 5] = ["hip error", "hiperror", "hsa_status_error", "memory access fault by gpu", "hip out of memory"];
const MEMORY: [&str; 6] =
    ["out of memory", "out_of_memory", "outofmemory", "memoryallocation", "alloc_failed", "out_of_resources"];

/// Both as `cudaGetErrorString` words them and as the codes are named; the documentation of CUDA says of each that the
/// process "must be terminated and relaunched".
const FATAL: [&str; 19] = [
    "illegal memory access",
    "illegaladdress",
    "illegal_address",
    "device-side assert",
    "cudaerrorassert",
    "unspecified launch failure",
    "launchfailure",
    "launch_failed",
    "launch timed out",
    "illegal instruction",
    "misaligned address",
    "invalid program counter",
    "hardware stack error",
    "operation not supported on global/shared address space",
    "uncorrectable ecc",
    "uncorrectable nvlink",
    "fallen off the bus",
    "memory access fault by gpu",
    "hsa_status_error",
];

/// The error that a text tells of, if it does.
pub(super) fn gpu_error(text: &str) -> Option<GpuError> {
    let text = text.to_ascii_lowercase();
    let says_one_of = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    let family: fn(Option<u32>) -> Device = match (says_one_of(&CUDA), says_one_of(&HIP)) {
        (true, _) => Device::Cuda,
        (_, true) => Device::Rocm,
        _ => return None,
    };
    let fault = match (says_one_of(&MEMORY), says_one_of(&FATAL)) {
        (true, _) => Fault::OutOfMemory,
        (_, true) => Fault::Fatal,
        _ => Fault::Other,
    };
    Some(GpuError { device: named_card(&text).unwrap_or_else(|| family(card_number(&text))), fault })
}

/// `cuda:1`.
fn named_card(text: &str) -> Option<Device> {
    Device::named_in(text).find(|device| device.number().is_some())
}

/// `GPU 1`, `GPU node-1`, in lower case.
pub(super) fn card_number(text: &str) -> Option<u32> {
    ["gpu ", "gpu node-"].iter().find_map(|before| {
        text.match_indices(before).find_map(|(at, _)| {
            let digits = text[at + before.len()..].split(|character: char| !character.is_ascii_digit()).next()?;
            digits.parse().ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_cuda_and_hip_are_read() {
        let check = |text: &str, device: &str, fault| {
            let found = gpu_error(text).unwrap_or_else(|| panic!("not seen: {text}"));
            assert_eq!((found.device.to_string().as_str(), found.fault), (device, fault), "{text}");
        };
        check("RuntimeError: CUDA error: an illegal memory access was encountered", "cuda", Fault::Fatal);
        check("CUDA error: device-side assert triggered on cuda:3", "cuda:3", Fault::Fatal);
        check("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 1; 23.6 GiB total)", "cuda:1", Fault::OutOfMemory);
        check("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "cuda", Fault::OutOfMemory);
        check("CUDA error: no kernel image is available for execution on the device", "cuda", Fault::Other);
        check("Memory access fault by GPU node-1 (Agent handle: 0x55)", "rocm:1", Fault::Fatal);
        check("HIP error: the operation cannot be performed in the present state", "rocm", Fault::Other);
        check("cudaErrorLaunchFailure: unspecified launch failure", "cuda", Fault::Fatal);
    }

    #[test]
    fn a_card_that_is_only_mentioned_is_no_error() {
        for text in ["using cuda:0", "GPU 0: NVIDIA A100", "model moved to cuda", "ValueError: out of memory slots"] {
            assert_eq!(gpu_error(text), None, "{text}");
        }
    }
}
