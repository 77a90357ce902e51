//! Tables for the terminal: columns as wide as what is in them, and nothing else.

use std::io::{self, Write};

/// Rows of `N` cells below a heading.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    pub(super) fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Prints the rows, or `none` where there are none.
    pub(super) fn print(&self, out: &mut impl Write, none: &str) -> io::Result<()> {
        if self.rows.len() == 1 {
            return writeln!(out, "{none}");
        }
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["ID", "STATE"]);
        let print = |table: &Table<2>| {
            let mut out = Vec::new();
            table.print(&mut out, "none").unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(print(&table), "none\n");
        table.push(["größer".to_owned(), "on".to_owned()]);
        assert_eq!(print(&table), "ID      STATE\ngrößer  on\n");
    }
}
