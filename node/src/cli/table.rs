//! Tables for people.

use comfy_table::Table;
use comfy_table::presets;
use serde_json::Value;

/// A value as it stands in a table.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Columns with their heads.
pub(super) fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heads);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// Bytes with a unit.
pub(super) fn bytes(value: &Value) -> String {
    let Some(bytes) = value.as_f64() else { return text(value) };
    let units = ["B", "KB", "MB", "GB", "TB", "PB"];
    let (mut amount, mut unit) = (bytes, 0);
    while amount >= 1000.0 && unit + 1 < units.len() {
        amount /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0);
    format!("{amount:.digits$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit() {
        let shown = [0_u64, 999, 1_000, 1_550_000, u64::MAX].map(|value| bytes(&value.into()));
        assert_eq!(shown, ["0 B", "999 B", "1.0 KB", "1.6 MB", "18446.7 PB"]);
        assert_eq!(bytes(&Value::Null), "-");
    }
}
