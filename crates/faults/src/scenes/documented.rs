//! Tables of the documentation, which scenes hold the client to.

use crate::figures::Broken;

/// The rows of the table below a heading, their cells without backticks.
pub(crate) fn table(document: &str, heading: &str) -> Result<Vec<Vec<String>>, Broken> {
    let below = document
        .split_once(heading)
        .ok_or_else(|| Broken::new(format!("the document has no heading \"{heading}\"")))?
        .1;
    let rows: Vec<Vec<String>> = below
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect();
    if rows.is_empty() {
        return Err(Broken::new(format!("below \"{heading}\" there is no table")));
    }
    Ok(rows)
}
