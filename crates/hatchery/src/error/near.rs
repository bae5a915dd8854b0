//! What somebody may have meant.

/// ` (did you mean …?)` if one of `known` looks like a slip of `name`, else nothing: to be put behind a message.
pub(crate) fn near_match<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let closeness = |candidate: &&str| strsim::jaro(name, candidate);
    known
        .into_iter()
        .filter(|candidate| is_as_long(name, candidate))
        .max_by(|a, b| closeness(a).total_cmp(&closeness(b)))
        .filter(|candidate| closeness(candidate) > 0.7)
        .map(|candidate| format!(" (did you mean `{candidate}`?)"))
        .unwrap_or_default()
}

/// Whether neither has more than three times the length of the other: one letter is close to every word that has it.
fn is_as_long(one: &str, other: &str) -> bool {
    one.len() <= 3 * other.len() && other.len() <= 3 * one.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["word_count", "countdown"];
        assert_eq!(near_match("word_cuont", known), " (did you mean `word_count`?)");
        assert_eq!(near_match("embed", known), "");
        assert_eq!(near_match("nosuch", ["n"]), "");
        assert_eq!(near_match("", []), "");
    }
}
