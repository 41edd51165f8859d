//! The report for people, `index.html`: one file, no script, nothing from elsewhere.
//! Templates lie in `reports/templates/report`; this module only prepares what they show.
mod drawing;
mod labels;
mod page;
mod rows;
mod scenarios;
mod words;

pub(crate) use page::page;
