//! A table of the report, as text for a terminal and as Markdown.

use std::fmt::Write;

use crate::targets::Verdict;

/// A title, what the figures are, the figures, and how the targets stand.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    pub(crate) title: String,
    pub(crate) notes: Vec<String>,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) verdicts: Vec<Verdict>,
}

impl Grid {
    pub(crate) fn new<const N: usize>(title: impl Into<String>, head: [&str; N]) -> Grid {
        Grid { title: title.into(), head: head.map(str::to_owned).to_vec(), ..Grid::default() }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Grid {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn rows(mut self, rows: impl IntoIterator<Item = Vec<String>>) -> Grid {
        self.rows.extend(rows);
        self
    }

    pub(crate) fn judged(mut self, verdicts: &[Verdict]) -> Grid {
        self.verdicts = verdicts.to_vec();
        self
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("\n{}\n", self.title);
        self.notes.iter().for_each(|note| text += &format!("  {note}\n"));
        text += &aligned(&self.lines());
        self.verdicts.iter().for_each(|verdict| text += &format!("  {verdict}\n"));
        text
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n", self.title);
        self.notes.iter().for_each(|note| text += &format!("{note}\n\n"));
        text += &markdown(&self.lines());
        if !self.verdicts.is_empty() {
            text += "\n| target | found | |\n|---|--:|---|\n";
        }
        for Verdict { text: target, ratio, met } in &self.verdicts {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {target} | {ratio:.2} | {} |", if *met { "met" } else { "**missed**" });
        }
        text
    }

    fn lines(&self) -> Vec<Vec<String>> {
        if self.head.is_empty() { Vec::new() } else { [std::slice::from_ref(&self.head), &self.rows].concat() }
    }
}

/// A figure, or a dash where there is none.
pub(crate) fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
}

/// The first column to the left, all others to the right; a cell after which nothing comes may be of any length.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let counts = |row: &&Vec<String>| row.len() > column + 1 || row.len() == rows[0].len();
        rows.iter().filter(counts).filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(|at| width(at).unwrap_or(0)).collect();
    let cell = |(at, cell): (usize, &String)| {
        let width = widths.get(at).copied().unwrap_or(0);
        if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    };
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let line = |row: &Vec<String>| {
        let cells = row.iter().map(|cell| cell.replace('\n', " ").replace('|', "\\|"));
        let blanks = std::iter::repeat_n(String::new(), columns.saturating_sub(row.len()));
        format!("| {} |\n", cells.chain(blanks).collect::<Vec<_>>().join(" | "))
    };
    let rule = format!("|---|{}\n", "--:|".repeat(columns.saturating_sub(1)));
    rows.iter().enumerate().map(|(at, row)| if at == 0 { line(row) + &rule } else { line(row) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let verdict = Verdict { text: "at most 1".to_owned(), ratio: 1.5, met: false };
        Grid::new("W0", ["", "ms", "us"])
            .note("medians")
            .rows([row(&["ours", "1", "1000"]), row(&["a | b", "not installed: no such module"])])
            .judged(&[verdict])
    }

    #[test]
    fn a_reason_takes_no_column_with_it() {
        let expected = "\nW0\n  medians\n         ms    us\n  ours    1  1000\n  a | b  not installed: no such module\n  MISSED at most 1 (1.50)\n";
        assert_eq!(grid().to_text(), expected);
    }

    #[test]
    fn markdown_has_every_cell_of_every_row() {
        let text = grid().to_markdown();
        assert!(text.contains("|  | ms | us |\n|---|--:|--:|\n| ours | 1 | 1000 |\n"), "{text}");
        assert!(text.contains("| a \\| b | not installed: no such module |  |\n"), "{text}");
        assert!(text.contains("| at most 1 | 1.50 | **missed** |\n"), "{text}");
    }
}
