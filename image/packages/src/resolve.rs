//! From a feature's roots to its closure: Depends and Pre-Depends, newest version, nothing by itself.
//!
//! Essential packages and recommendations are not pulled in: the box has no shell and no package manager, and the
//! package list names what it wants. A choice is never silent: several providers of a virtual name need a `prefer`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::dependency::{Group, Relation, parse_field};
use crate::error::{Error, Result};
use crate::index::{MultiArch, Offer, Package};
use crate::manifest::{Feature, split_name};

/// What there is, by architecture.
pub type Offers<'a> = BTreeMap<String, Offer<'a>>;

/// The closure of a feature, sorted by name and architecture.
pub fn resolve<'a>(name: &str, feature: &Feature, offers: &Offers<'a>) -> Result<Vec<&'a Package>> {
    let mut walk = Walk {
        feature_name: name,
        feature,
        offers,
        chosen: BTreeMap::new(),
        queue: VecDeque::new(),
        omitted: BTreeSet::new(),
        preferred: BTreeSet::new(),
    };
    walk.roots()?;
    while let Some((package, context)) = walk.queue.pop_front() {
        walk.visit(package, &context)?;
    }
    walk.check_leftovers()?;
    walk.check_conflicts()?;
    let mut seen = BTreeSet::new();
    let closure = walk.chosen.values().filter(|package| seen.insert((&package.name, &package.architecture)));
    Ok(closure.copied().collect())
}

struct Walk<'a, 'f> {
    feature_name: &'f str,
    feature: &'f Feature,
    offers: &'f Offers<'a>,
    /// By name and the architecture in whose context it was chosen (a package for `all` runs in its chooser's).
    chosen: BTreeMap<(String, String), &'a Package>,
    queue: VecDeque<(&'a Package, String)>,
    omitted: BTreeSet<String>,
    preferred: BTreeSet<String>,
}

/// What an attempt at one alternative gives.
enum Answer<'a> {
    Take(&'a Package),
    Omitted(String),
    Nothing,
}

impl<'a> Walk<'a, '_> {
    fn fail(&self, message: impl Into<String>) -> Error {
        Error::Unresolved { feature: self.feature_name.to_string(), message: message.into() }
    }

    fn offer(&self, architecture: &str) -> Result<&Offer<'a>> {
        self.offers.get(architecture).ok_or_else(|| {
            self.fail(format!("there is no package index for the architecture '{architecture}'"))
        })
    }

    /// All roots are chosen before the first dependency is looked at, so that alternatives meet them.
    fn roots(&mut self) -> Result<()> {
        for root in self.feature.packages.keys() {
            let (name, architecture) = split_name(root);
            let context = architecture.unwrap_or(&self.feature.architecture);
            let Some(package) = self.offer(context)?.named(name, None).first().copied() else {
                return Err(self.fail(format!("the mirror has no package '{name}' for {context}")));
            };
            self.choose(package, context);
        }
        Ok(())
    }

    fn choose(&mut self, package: &'a Package, context: &str) {
        self.chosen.insert((package.name.clone(), context.to_string()), package);
        self.queue.push_back((package, context.to_string()));
    }

    fn visit(&mut self, package: &'a Package, context: &str) -> Result<()> {
        let groups = parse_field(&package.depends)
            .map_err(|reason| self.fail(format!("'{}' on the mirror: {reason}", package.name)))?;
        for group in &groups {
            self.satisfy(group, package, context)?;
        }
        Ok(())
    }

    fn satisfy(&mut self, group: &Group, by: &Package, context: &str) -> Result<()> {
        if group.0.iter().any(|relation| self.is_met(relation, context)) {
            return Ok(());
        }
        if let Some(taken) = group.0.iter().find_map(|relation| {
            self.chosen.get(&(relation.name.clone(), context.to_string())).map(|package| (relation, package))
        }) {
            let (relation, package) = taken;
            return Err(self.fail(format!(
                "'{}' needs '{relation}', but '{} {}' was chosen; the suites do not fit each other at the moment: \
                 try again later, or omit one of them",
                by.name, package.name, package.version
            )));
        }
        if let Some(instead) =
            group.0.iter().find(|relation| self.feature.prefer.contains_key(&relation.name))
        {
            return self.take_preferred(&instead.name, group, by, context);
        }
        for relation in &group.0 {
            match self.try_relation(relation, by, context)? {
                Answer::Take(package) => {
                    self.choose(package, context);
                    return Ok(());
                }
                Answer::Omitted(name) => {
                    self.omitted.insert(name);
                    return Ok(());
                }
                Answer::Nothing => {}
            }
        }
        Err(self.fail(format!(
            "'{} {}' needs '{group}', which nothing on the mirror satisfies for {context}; \
             if the box can do without, list it under omit with the reason",
            by.name, by.version
        )))
    }

    fn take_preferred(&mut self, instead: &str, group: &Group, by: &Package, context: &str) -> Result<()> {
        self.preferred.insert(instead.to_string());
        let wanted = &self.feature.prefer[instead];
        if let Some(omitted) = self.omits(wanted, context) {
            self.omitted.insert(omitted);
            return Ok(());
        }
        let candidates = self.offer(context)?.named(wanted, None);
        match candidates.into_iter().find(|package| group.0.iter().any(|relation| meets(package, relation))) {
            Some(package) => {
                self.choose(package, context);
                Ok(())
            }
            None => Err(self.fail(format!(
                "prefer: '{instead}' = '{wanted}', but the mirror has no such package for {context} that satisfies \
                 '{group}' of '{}'",
                by.name
            ))),
        }
    }

    /// Met by a package in the same context, or by one of another architecture that may stand in.
    fn is_met(&self, relation: &Relation, context: &str) -> bool {
        self.chosen.iter().any(|((_, of), package)| {
            meets(package, relation)
                && (of == context
                    || relation.architecture.as_deref() == Some(of)
                    || package.multi_arch == MultiArch::Foreign
                    || (package.multi_arch == MultiArch::Allowed
                        && relation.architecture.as_deref() == Some("any")))
        })
    }

    fn try_relation(&self, relation: &Relation, by: &Package, context: &str) -> Result<Answer<'a>> {
        if let Some(omitted) = self.omits(&relation.name, context) {
            return Ok(Answer::Omitted(omitted));
        }
        let offer = match relation.architecture.as_deref() {
            None | Some("any") => self.offer(context)?,
            Some(other) => self.offer(other)?,
        };
        let bound = relation.bound.as_ref();
        if let Some(package) = offer.named(&relation.name, bound).first() {
            return Ok(Answer::Take(package));
        }
        let providers = offer.providers(&relation.name, bound);
        if let Some(omitted) = providers.iter().find_map(|package| self.omits(&package.name, context)) {
            return Ok(Answer::Omitted(omitted));
        }
        match providers.as_slice() {
            [] => Ok(Answer::Nothing),
            [only] => Ok(Answer::Take(only)),
            // Of several, one of a more important priority is what Debian itself means by the name.
            [first, second, ..] if first.priority < second.priority => Ok(Answer::Take(first)),
            several => {
                let names: Vec<&str> = several.iter().take(8).map(|package| package.name.as_str()).collect();
                Err(self.fail(format!(
                    "'{}' needs '{relation}', which several packages provide ({}); name one under prefer, or omit it",
                    by.name,
                    names.join(", ")
                )))
            }
        }
    }

    fn omits(&self, name: &str, context: &str) -> Option<String> {
        let qualified = format!("{name}:{context}");
        [qualified.as_str(), name]
            .into_iter()
            .find(|key| self.feature.omit.contains_key(*key))
            .map(str::to_string)
    }

    /// A listed name that plays no part is a mistake or out of date.
    fn check_leftovers(&self) -> Result<()> {
        if let Some(unused) = self.feature.omit.keys().find(|name| !self.omitted.contains(*name)) {
            return Err(self.fail(format!("omit: nothing asks for '{unused}' (any more); remove the line")));
        }
        if let Some(unused) = self.feature.prefer.keys().find(|name| !self.preferred.contains(*name)) {
            return Err(self.fail(format!("prefer: nothing asks for '{unused}' (any more); remove the line")));
        }
        Ok(())
    }

    /// The greedy walk does not weigh conflicts; it only refuses an answer that has one.
    fn check_conflicts(&self) -> Result<()> {
        for ((_, context), package) in &self.chosen {
            let groups = parse_field(&package.conflicts)
                .map_err(|reason| self.fail(format!("'{}' on the mirror: {reason}", package.name)))?;
            for relation in groups.iter().flat_map(|group| &group.0) {
                let clash = self.chosen.iter().find(|((_, of), other)| {
                    of == context && other.name != package.name && meets(other, relation)
                });
                if let Some((_, other)) = clash {
                    return Err(self.fail(format!(
                        "'{} {}' conflicts with '{} {}'; prefer or omit one of them",
                        package.name, package.version, other.name, other.version
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Whether a package is, or provides, what a relation names, in a version that it admits.
fn meets(package: &Package, relation: &Relation) -> bool {
    let bound = relation.bound.as_ref();
    (package.name == relation.name && bound.is_none_or(|bound| bound.admits(&package.version)))
        || package.provides(&relation.name, bound)
}
