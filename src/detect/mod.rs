//! stub
#![allow(missing_docs)]
use crate::model::*;
pub struct SourceCatalog {
    pub lists: Vec<SourceInfo>,
    pub place: Option<SourceInfo>,
    pub asn: Option<SourceInfo>,
}
pub struct RuleSetInfo {
    pub name: String,
    pub count: usize,
    pub build: String,
}
pub struct RuleSet {
    i: RuleSetInfo,
}
impl RuleSet {
    pub fn embedded() -> Result<RuleSet, Vec<Error>> {
        Ok(RuleSet { i: RuleSetInfo { name: "x".into(), count: 0, build: "0".into() } })
    }
    pub fn load_dir(_: &std::path::Path) -> Result<RuleSet, Vec<Error>> {
        RuleSet::embedded()
    }
    pub fn info(&self) -> &RuleSetInfo {
        &self.i
    }
    pub fn evaluate(&self, _: &Record, _: &SourceCatalog, _: &mut Vec<Alert>) {}
}
pub mod incidents {
    use crate::model::*;
    #[derive(Default)]
    pub struct IncidentConfig;
    pub struct Incidents;
    impl Incidents {
        pub fn new(_: IncidentConfig) -> Self {
            Incidents
        }
        pub fn push(&mut self, _: &Alert) {}
        pub fn finish(self) -> Vec<Incident> {
            vec![]
        }
    }
    pub fn next_steps(_: &Incident) -> Vec<String> {
        vec![]
    }
    pub fn does_not_prove(_: &Incident) -> Vec<String> {
        vec![]
    }
}
