//! Rows as a table for people, as JSON or as CSV, written as they come: no result needs to fit into
//! memory.
//!
//! Knows: how rows look. Must never know: where they come from.

use clap::ValueEnum;
use comfy_table::{
    Cell as Styled, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width,
    presets::NOTHING,
};
use serde::{Serialize, Serializer};

use super::{
    Failure,
    output::{self, Look},
    problems::printable,
};
use crate::store::sqlite::review::{Cell, Rows};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: times in the settings' zone
    Table,
    /// A list of objects, keys and values as in the ledger's view
    Json,
    /// A header and the view's values
    Csv,
}

/// The choice of a format, as every command that shows rows offers it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct FormatArgs {
    /// How rows are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub format: Format,
}

/// One row of a view.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub columns: &'a [String],
    pub cells: &'a [Cell],
}

impl Row<'_> {
    /// The cell's text by its column's name, safe on a terminal; nothing when it is null.
    pub fn text(&self, column: &str) -> String {
        let place = self.columns.iter().position(|name| name == column);
        place.and_then(|place| self.cells.get(place)).map(|cell| printable(&cell.text())).unwrap_or_default()
    }

    /// The row as one JSON object, its keys in the order of the view.
    pub fn json(&self) -> String {
        // Texts and whole numbers under keys that are strings cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().zip(self.cells))
    }
}

/// The rows of a result, as [`Row`]s.
pub fn rows(rows: &Rows) -> impl Iterator<Item = Row<'_>> {
    rows.rows.iter().map(|cells| Row { columns: &rows.columns, cells })
}

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Is wrapped where there is little room.
    Text,
    /// Stays on one line, so that it can be copied.
    Name,
    /// Stands on the right.
    Number,
    /// A state or an outcome, which has a colour.
    Word,
}

/// A column of a table for people.
pub struct Column {
    pub title: &'static str,
    pub kind: Kind,
    /// Columns with a higher number are the first to be left out of a narrow terminal; 0 stays.
    pub spare: u8,
    pub show: fn(&Row<'_>, &Look) -> String,
}

impl Column {
    pub const fn new(title: &'static str, kind: Kind, show: fn(&Row<'_>, &Look) -> String) -> Column {
        Column { title, kind, spare: 0, show }
    }

    pub const fn spare(self, spare: u8) -> Column {
        Column { spare, ..self }
    }
}

/// A table that is written in blocks, which agree on their columns' widths.
pub struct Sheet<'a> {
    headings: Vec<(&'static str, Kind, u8)>,
    look: &'a Look,
    /// The columns that there is room for; decided by the first block.
    shown: Option<Vec<usize>>,
    widths: Vec<u16>,
}

/// Blanks between columns.
const GAP: u16 = 2;

/// The width of columns beside each other.
fn total(widths: &[u16]) -> usize {
    widths.iter().map(|width| usize::from(*width + GAP)).sum::<usize>().saturating_sub(usize::from(GAP))
}

impl<'a> Sheet<'a> {
    /// A table with these headings: title, kind, how easily it is spared.
    pub fn new(headings: Vec<(&'static str, Kind, u8)>, look: &'a Look) -> Sheet<'a> {
        Sheet { headings, look, shown: None, widths: Vec::new() }
    }

    /// The next rows, after the header when they are the first.
    pub fn block(&mut self, rows: &[Vec<String>]) -> String {
        let first = self.shown.is_none();
        let shown = match self.shown.take() {
            Some(shown) => shown,
            None => self.choose(rows),
        };
        let mut table = self.table(rows, &shown, first);
        self.widths.resize(shown.len(), 0);
        for (known, width) in self.widths.iter_mut().zip(table.column_max_content_widths()) {
            *known = (*known).max(width);
        }
        // Where the terminal has no room for that, each block is arranged for itself.
        let fits = self.look.width.is_none_or(|most| total(&self.widths) <= usize::from(most));
        for (place, column) in table.column_iter_mut().enumerate() {
            let gap = if place + 1 == shown.len() { 0 } else { GAP };
            column.set_padding((0, gap));
            if fits {
                let width = Width::Fixed(self.widths[place] + gap);
                column.set_constraint(ColumnConstraint::LowerBoundary(width));
            } else if self.headings[shown[place]].1 != Kind::Text {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        self.shown = Some(shown);
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// The columns that fit beside each other, the most spare ones left out first.
    fn choose(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.headings.len()).collect();
        let Some(most) = self.look.width else { return shown };
        loop {
            let widths = self.table(rows, &shown, true).column_max_content_widths();
            let spare = shown.iter().copied().max_by_key(|column| self.headings[*column].2);
            match spare.filter(|column| self.headings[*column].2 > 0) {
                Some(column) if total(&widths) > usize::from(most) => shown.retain(|other| *other != column),
                _ => return shown,
            }
        }
    }

    fn table(&self, rows: &[Vec<String>], shown: &[usize], header: bool) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING).force_no_tty();
        if let Some(width) = self.look.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        if self.look.colours {
            table.enforce_styling().style_text_only();
        }
        let align = |column: usize, cell: Styled| match self.headings[column].1 {
            Kind::Number => cell.set_alignment(CellAlignment::Right),
            Kind::Text | Kind::Name | Kind::Word => cell,
        };
        if header {
            let titles = shown.iter().map(|column| align(*column, Styled::new(self.headings[*column].0)));
            table.set_header(titles);
        }
        for row in rows {
            table.add_row(shown.iter().map(|column| {
                let text = row.get(*column).map_or("", String::as_str);
                let text = if text.is_empty() { output::NOTHING } else { text };
                let cell = align(*column, Styled::new(text));
                match colour(text) {
                    Some(colour) if self.headings[*column].1 == Kind::Word => cell.fg(colour),
                    _ => cell,
                }
            }));
        }
        table
    }
}

/// The colour of a state or an outcome.
fn colour(word: &str) -> Option<Color> {
    match word {
        "active" | "completed" | "accepted" => Some(Color::DarkGreen),
        "pending" | "running" => Some(Color::DarkCyan),
        "paused" | "unknown" => Some(Color::DarkYellow),
        "failed" | "refused" => Some(Color::DarkRed),
        _ => None,
    }
}

/// How many rows share a block of a table, and a write.
const BLOCK: usize = 1_000;

/// Writes rows in a format.
pub struct RowWriter<'a> {
    format: Format,
    layout: &'a [Column],
    look: &'a Look,
    sheet: Sheet<'a>,
    block: Vec<Vec<String>>,
    /// What waits to be written, and of how many rows.
    text: String,
    waiting: usize,
    begun: bool,
}

impl<'a> RowWriter<'a> {
    pub fn new(format: Format, layout: &'a [Column], look: &'a Look) -> RowWriter<'a> {
        let headings = layout.iter().map(|column| (column.title, column.kind, column.spare)).collect();
        RowWriter {
            format,
            layout,
            look,
            sheet: Sheet::new(headings, look),
            block: Vec::new(),
            text: String::new(),
            waiting: 0,
            begun: false,
        }
    }

    pub fn row(&mut self, columns: &[String], cells: &[Cell]) -> Result<(), Failure> {
        let row = Row { columns, cells };
        match self.format {
            Format::Table => {
                self.block.push(self.layout.iter().map(|column| (column.show)(&row, self.look)).collect());
            }
            Format::Json => {
                self.text += if self.begun { ",\n" } else { "[\n" };
                self.text += &row.json();
            }
            Format::Csv => {
                if !self.begun {
                    self.text += &csv_line(columns.iter().map(String::as_str));
                }
                self.text += &csv_line(cells.iter().map(Cell::text));
            }
        }
        self.begun = true;
        self.waiting += 1;
        if self.waiting == BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if !self.block.is_empty() {
            self.text += &self.sheet.block(&self.block);
            self.block.clear();
        }
        self.waiting = 0;
        output::write(&std::mem::take(&mut self.text))
    }

    /// Writes what is left. `columns` are those of the view, for a result without rows; `none` is then
    /// said to people.
    pub fn finish(mut self, columns: &[String], none: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table if !self.begun => output::say(none),
            Format::Table => {}
            Format::Json => self.text += if self.begun { "\n]\n" } else { "[]\n" },
            Format::Csv if !self.begun => self.text += &csv_line(columns.iter().map(String::as_str)),
            Format::Csv => {}
        }
        self.flush()
    }
}

/// Writes a result that is at hand.
pub fn write(
    format: Format,
    layout: &[Column],
    look: &Look,
    result: &Rows,
    none: &str,
) -> Result<(), Failure> {
    let mut writer = RowWriter::new(format, layout, look);
    for cells in &result.rows {
        writer.row(&result.columns, cells)?;
    }
    writer.finish(&result.columns, none)
}

fn csv_line(fields: impl Iterator<Item = impl AsRef<[u8]>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory cannot fail, and what went in as text comes out as text.
    let _ = writer.write_record(fields);
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Labels as people write them: `team=growth`.
pub fn labels(json: &str) -> String {
    let labels: std::collections::BTreeMap<String, String> = serde_json::from_str(json).unwrap_or_default();
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn look(width: Option<u16>) -> Look {
        Look { zone: TimeZone::UTC, colours: false, width }
    }

    fn rows(rows: &[[&str; 4]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    fn sheet(look: &Look) -> Sheet<'_> {
        let headings = vec![
            ("RUN", Kind::Name, 0),
            ("STATE", Kind::Word, 0),
            ("COUNT", Kind::Number, 1),
            ("WHY", Kind::Text, 0),
        ];
        Sheet::new(headings, look)
    }

    const ROWS: &[[&str; 4]] = &[
        ["hello@20261111T010000Z", "completed", "20000", ""],
        ["a", "failed", "3", "the provider refuses the request, whatever is in it"],
    ];

    #[test]
    fn columns_stand_below_each_other() {
        insta::assert_snapshot!(sheet(&look(None)).block(&rows(ROWS)), @r"
        RUN                     STATE      COUNT  WHY
        hello@20261111T010000Z  completed  20000  –
        a                       failed         3  the provider refuses the request, whatever is in it
        ");
    }

    #[test]
    fn a_narrow_terminal_spares_columns_and_wraps_texts_not_names() {
        let text = sheet(&look(Some(60))).block(&rows(ROWS));
        insta::assert_snapshot!(text, @r"
        RUN                     STATE      WHY
        hello@20261111T010000Z  completed  –
        a                       failed     the provider refuses the
                                           request, whatever is in
                                           it
        ");
    }

    #[test]
    fn later_blocks_keep_the_columns() {
        let look = look(None);
        let mut sheet = sheet(&look);
        sheet.block(&rows(ROWS));
        insta::assert_snapshot!(sheet.block(&rows(&[["b", "paused", "1", "x"]])), @"b                       paused         1  x");
    }

    #[test]
    fn colours_are_only_paint() {
        let plain = sheet(&look(None)).block(&rows(ROWS));
        let painted = Look { colours: true, ..look(None) };
        let painted = sheet(&painted).block(&rows(ROWS));
        assert_ne!(painted, plain);
        let bare = ["\x1b[38;5;1m", "\x1b[38;5;2m", "\x1b[39m"]
            .iter()
            .fold(painted, |text, code| text.replace(code, ""));
        assert_eq!(bare, plain);
    }

    #[test]
    fn a_row_steers_no_terminal_and_keeps_its_order() {
        let columns = ["reason", "audience"].map(str::to_owned);
        let cells = [Cell::Text("a\x1b[31mb\n".to_owned()), Cell::Integer(3)];
        let row = Row { columns: &columns, cells: &cells };
        assert_eq!(row.text("reason"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(row.json(), r#"{"reason":"a\u001b[31mb\n","audience":3}"#);
        assert_eq!(labels(r#"{"team":"growth","a":"b"}"#), "a=b team=growth");
    }
}
