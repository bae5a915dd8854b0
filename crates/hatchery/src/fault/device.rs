//! The names of devices that calculate, as numeric libraries write them.

use std::fmt;

/// What a tensor lives on. The number is that of the card, as the library counts.
///
/// ```
/// use hatchery::fault::Device;
/// assert_eq!(Device::parse("cuda:1"), Some(Device::Cuda(Some(1))));
/// assert_eq!(Device::Cuda(None).to_string(), "cuda");
/// assert_eq!(Device::parse("cuda:one"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Device {
    /// `cpu`.
    Cpu,
    /// `cuda`, `cuda:0`. PyTorch calls cards of AMD so, too.
    Cuda(Option<u32>),
    /// `rocm`, `rocm:0`.
    Rocm(Option<u32>),
    /// `mps`.
    Mps,
    /// `xpu`, `xpu:0`.
    Xpu(Option<u32>),
}

impl Device {
    /// From its name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Device> {
        let (family, number) = match text.split_once(':') {
            Some((family, number)) => (family, Some(number.parse().ok()?)),
            None => (text, None),
        };
        match (family, number) {
            ("cpu", _) => Some(Device::Cpu),
            ("cuda", number) => Some(Device::Cuda(number)),
            ("rocm", number) => Some(Device::Rocm(number)),
            ("mps", _) => Some(Device::Mps),
            ("xpu", number) => Some(Device::Xpu(number)),
            _ => None,
        }
    }

    /// Those that a text names, in its order.
    pub(super) fn named_in(text: &str) -> impl Iterator<Item = Device> {
        let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ':');
        text.split(move |character| !is_name(character)).filter_map(|word| Device::parse(word.trim_matches(':')))
    }

    pub(super) fn number(self) -> Option<u32> {
        match self {
            Device::Cuda(number) | Device::Rocm(number) | Device::Xpu(number) => number,
            Device::Cpu | Device::Mps => None,
        }
    }

    fn family(self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
            Device::Rocm(_) => "rocm",
            Device::Mps => "mps",
            Device::Xpu(_) => "xpu",
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family())?;
        self.number().map_or(Ok(()), |number| write!(f, ":{number}"))
    }
}

impl serde::Serialize for Device {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Device {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Device, D::Error> {
        let text = String::deserialize(deserializer)?;
        Device::parse(&text).ok_or_else(|| serde::de::Error::custom("not the name of a device"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_read_again() {
        for name in ["cpu", "cuda", "cuda:7", "rocm:0", "mps", "xpu:2"] {
            assert_eq!(Device::parse(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn names_are_found_among_words() {
        let found = |text| Device::named_in(text).map(|device| device.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(found("found two devices, cuda:0 and cpu!"), "cuda:0 cpu");
        assert_eq!(found("on (cuda:1): no; xcuda:1 cuda_home mps0"), "cuda:1");
    }
}
