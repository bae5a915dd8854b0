//! Tables for people: columns as wide as their widest cell, numbers to the right.

use crate::colour::Paint;

/// One column: its heading, and whether it holds numbers.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Holds);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Text,
    Numbers,
}

/// A heading and a line per row.
pub(crate) fn table<const N: usize>(columns: [Column; N], rows: &[[String; N]], paint: Paint) -> String {
    let widths: [usize; N] = std::array::from_fn(|at| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.max().unwrap_or(0).max(columns[at].0.len())
    });
    let line = |cells: [&str; N]| {
        let padded = (0..N).map(|at| padded(cells[at], widths[at], columns[at].1));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let heading = paint.bold(&line(std::array::from_fn(|at| columns[at].0)));
    let rows = rows.iter().map(|row| line(std::array::from_fn(|at| row[at].as_str())));
    std::iter::once(heading).chain(rows).collect::<Vec<_>>().join("\n")
}

/// What is said about one thing: its names in one column, what they are in another.
pub(crate) fn pairs(pairs: &[(&str, String)], paint: Paint) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{}  {value}", paint.bold(&format!("{name:width$}")));
    pairs.iter().map(|pair| line(pair).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// What is not known is a dash.
pub(crate) fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

fn padded(cell: &str, width: usize, holds: Holds) -> String {
    match holds {
        Holds::Text => format!("{cell:width$}"),
        Holds::Numbers => format!("{cell:>width$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_left_and_numbers_right() {
        let columns = [Column("name", Holds::Text), Column("calls", Holds::Numbers)];
        let rows = [["a".into(), "1".into()], ["longer".into(), "1234567".into()]];
        let expected = "name      calls\na             1\nlonger  1234567";
        assert_eq!(table(columns, &rows, Paint::PLAIN), expected);
    }

    #[test]
    fn pairs_stand_below_each_other() {
        let said = [("state", "idle".to_owned()), ("in flight", "0".to_owned())];
        assert_eq!(pairs(&said, Paint::PLAIN), "state      idle\nin flight  0");
    }
}
