//! Whose certificate it is: the common name of its subject. Its signature has been checked by then, so that what stands in it
//! is what an authority of ours has put there.

/// A part of a certificate: its kind, and what it consists of.
type Part<'a> = (u8, &'a [u8]);

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The version, which old certificates do not have.
const EXPLICIT_0: u8 = 0xa0;
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The last common name of the subject, the most particular one. `None` if there is none that is plain text.
pub(crate) fn of(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = only(certificate, SEQUENCE)?;
    let ((_, signed), _) = split(certificate).filter(|((kind, _), _)| *kind == SEQUENCE)?;
    let names = subject(signed)?;
    parts(names).filter_map(|(kind, set)| (kind == SET).then_some(set)).flat_map(parts).filter_map(common_name).last()
}

/// Version, number, algorithm, issuer, validity, subject.
fn subject(signed: &[u8]) -> Option<&[u8]> {
    let mut fields = parts(signed).skip_while(|(kind, _)| *kind == EXPLICIT_0);
    fields.next().filter(|(kind, _)| *kind == INTEGER)?;
    let (kind, subject) = fields.nth(3)?;
    (kind == SEQUENCE).then_some(subject)
}

fn common_name((kind, pair): Part<'_>) -> Option<String> {
    let mut pair = (kind == SEQUENCE).then(|| parts(pair))?;
    pair.next().filter(|(kind, name)| *kind == OBJECT_IDENTIFIER && **name == COMMON_NAME)?;
    let (kind, text) = pair.next().filter(|(kind, _)| TEXTS.contains(kind))?;
    debug_assert!(TEXTS.contains(&kind));
    let text = std::str::from_utf8(text).ok()?;
    // It stands in lines of logs.
    let is_plain = !text.is_empty() && text.len() <= 64 && !text.chars().any(char::is_control);
    is_plain.then(|| text.to_owned())
}

fn only(bytes: &[u8], kind: u8) -> Option<Part<'_>> {
    split(bytes).map(|(part, _)| part).filter(|part| part.0 == kind)
}

/// The parts that follow each other, up to one that is broken.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let (part, rest) = split(bytes)?;
        bytes = rest;
        Some(part)
    })
}

/// The first part, and what is behind it.
fn split(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let (kind, bytes) = bytes.split_first()?;
    let (first, bytes) = bytes.split_first()?;
    let (length, bytes) = match first {
        short @ 0..=0x7f => (usize::from(*short), bytes),
        long => {
            let (digits, bytes) = bytes
                .split_at_checked(usize::from(long & 0x7f))
                .filter(|(digits, _)| (1..=4).contains(&digits.len()))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), bytes)
        }
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some(((*kind, content), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(name: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["else.example".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "an organization");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_read() {
        assert_eq!(of(&certificate(Some("ci-é"))).as_deref(), Some("ci-é"));
        assert_eq!(of(&certificate(None)), None);
        assert_eq!(of(&certificate(Some("two\nlines"))), None);
    }

    proptest! {
        #[test]
        fn anything_else_is_no_name_and_no_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            place in 0usize..300,
            bit in 0u8..8,
        ) {
            let _any = of(&bytes);
            let mut broken = certificate(Some("ci"));
            let length = broken.len();
            broken[place % length] ^= 1 << bit;
            let _any = of(&broken);
            let _any = of(&broken[..place % length]);
        }
    }
}
