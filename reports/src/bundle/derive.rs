//! Every file that follows from journals and criteria, as bytes: written once, made again by `verify`.
use std::collections::BTreeMap;

use serde::Serialize;

use super::{BundleError, brief, commands, junit, traceability};
use crate::html;
use crate::journals::Journals;
use crate::spec::Specification;
use crate::verdict::{Criteria, Judgement, compute};

/// Schema of `verdict.json`, published beside it.
const VERDICT_SCHEMA: &str = include_str!("../../templates/verdict.schema.json");

/// The judgement and all derived files by path.
pub(super) struct Derived {
    pub judgement: Judgement,
    pub files: BTreeMap<String, Vec<u8>>,
}

pub(super) fn derive(
    journals: &Journals,
    criteria: &Criteria,
    specification: &Specification,
) -> Result<Derived, BundleError> {
    let judgement = compute(journals, criteria, specification);
    let mut files = BTreeMap::new();
    let mut put = |path: &str, bytes: Vec<u8>| {
        files.insert(path.to_owned(), bytes);
    };
    put("verdict.json", json("verdict.json", &judgement.verdict)?);
    put("verdict.schema.json", VERDICT_SCHEMA.as_bytes().to_vec());
    put(
        "coverage/labels.json",
        json("coverage/labels.json", &judgement.coverage.labels)?,
    );
    put(
        "coverage/rules.json",
        json("coverage/rules.json", &judgement.coverage.rules)?,
    );
    put(
        "coverage/rows.json",
        json("coverage/rows.json", &judgement.coverage.rows)?,
    );
    put(
        "coverage/scenarios.json",
        json("coverage/scenarios.json", &judgement.coverage.scenarios)?,
    );
    put("ledger.json", json("ledger.json", &judgement.ledger)?);
    put(
        "timelines.json",
        json("timelines.json", &judgement.timelines)?,
    );
    let chains = traceability::chains(&judgement, specification);
    put("traceability.json", json("traceability.json", &chains)?);
    put(
        "commands.md",
        commands::markdown(journals, specification).into_bytes(),
    );
    put(
        "brief.md",
        brief::markdown(journals, criteria, &judgement, specification).into_bytes(),
    );
    put("junit.xml", junit::xml(journals)?.into_bytes());
    for (path, bytes) in scenarios(journals, &judgement)? {
        put(&path, bytes);
    }
    let page =
        html::page(journals, criteria, &judgement, specification).map_err(BundleError::Page)?;
    put("index.html", page.into_bytes());
    Ok(Derived { judgement, files })
}

/// Evidence of each scenario: results, observations, runs.
fn scenarios(
    journals: &Journals,
    judgement: &Judgement,
) -> Result<Vec<(String, Vec<u8>)>, BundleError> {
    let mut ids: Vec<&str> = journals
        .scenarios
        .iter()
        .map(|line| line.value.key.scenario.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut files = Vec::new();
    for id in ids {
        let results: Vec<_> = journals.results_of(id).collect();
        let observations: Vec<_> = journals
            .observations
            .iter()
            .filter(|line| line.value.key.scenario == id)
            .map(|line| &line.value)
            .collect();
        let runs: Vec<_> = judgement
            .timelines
            .runs
            .iter()
            .filter(|run| run.scenario.as_deref() == Some(id))
            .collect();
        for (name, bytes) in [
            ("results.json", json(id, &results)?),
            ("observations.json", json(id, &observations)?),
            ("runs.json", json(id, &runs)?),
        ] {
            files.push((format!("scenarios/{id}/{name}"), bytes));
        }
    }
    Ok(files)
}

pub(super) fn json<T: Serialize + ?Sized>(file: &str, value: &T) -> Result<Vec<u8>, BundleError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|source| BundleError::Encode {
        file: file.to_owned(),
        source,
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}
