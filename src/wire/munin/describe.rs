//! wire: the answer to `config`: graphs and their fields, with their descriptions.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Line, clean_field, identity, lines, parse_range, update_rate};
use crate::model::{Field, Graph, Kind, Range};
use crate::wire::munin::Cdef;
use crate::wire::value::parse_value;

/// The largest number of fields in one answer. An answer with more is faulty.
const MAX_FIELDS: usize = 2_000;
/// Longest text that is kept of a title, a label or an info, in characters.
const MAX_TEXT: usize = 1_000;

/// The type of a field, which decides how its values are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Type {
    /// The value itself.
    #[default]
    Gauge,
    /// How fast it changes.
    Derive,
    /// The rate of a value that only grows, and begins again past 2^32 or 2^64.
    Counter,
    /// The increase since the last reading, divided by the time.
    Absolute,
}

impl Type {
    /// The type for Munin's word, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            ("GAUGE", Self::Gauge),
            ("DERIVE", Self::Derive),
            ("COUNTER", Self::Counter),
            ("ABSOLUTE", Self::Absolute),
        ]
        .into_iter()
        .find_map(|(name, kind)| name.eq_ignore_ascii_case(word).then_some(kind))
    }
}

/// The description of a field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldConfig {
    /// Its name: clean, or as the plugin writes it where two would be called alike once clean.
    pub name: String,
    /// The name as the plugin writes it.
    pub written: String,
    /// The name in the legend; empty for the field's own name.
    pub label: String,
    /// Sentences for people.
    pub info: String,
    /// The type of its values.
    pub kind: Type,
    /// The range of drawable values; a value outside is unknown.
    pub bounds: Range,
    /// A value outside of this range is a warning.
    pub warning: Range,
    /// A value outside of this range is critical.
    pub critical: Range,
    /// `LINE1`, `AREA`, … or nothing.
    pub draw: String,
    /// `rrggbb` or nothing.
    pub colour: String,
    /// The name of the field drawn below the axis, or nothing.
    pub negative: String,
    /// Arithmetic before it is drawn, or nothing.
    pub cdef: String,
    /// False: `graph no`.
    pub drawn: bool,
}

impl FieldConfig {
    fn named(written: &str, name: Cow<'_, str>) -> Self {
        let (written, name) = (written.to_owned(), name.into_owned());
        Self { name, written, drawn: true, ..Self::default() }
    }

    /// Whether its series is kept as a counter: one that cannot fall. A DERIVE that may fall (no
    /// `min`, or one below zero) is kept as the rate that it is drawn as.
    pub fn series_kind(&self) -> Kind {
        match self.kind {
            Type::Gauge => Kind::Gauge,
            Type::Derive if self.bounds.min.is_none_or(|min| min < 0.0) => Kind::Gauge,
            Type::Derive | Type::Counter | Type::Absolute => Kind::Counter,
        }
    }
}

/// The description of a graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GraphConfig {
    /// The plugin's name, or the name after `multigraph`.
    pub name: String,
    /// `graph_title`
    pub title: String,
    /// `graph_vlabel`
    pub unit: String,
    /// `graph_category`
    pub category: String,
    /// `graph_info`
    pub info: String,
    /// `graph_args`
    pub args: String,
    /// `graph_order`
    pub order: String,
    /// `graph_period`: `second`, `minute` or `hour`.
    pub period: String,
    /// `graph no`: only there to hold values for others.
    pub hidden: bool,
    /// Its fields in the order in which they appear.
    pub fields: Vec<FieldConfig>,
}

/// The description of a plugin's graphs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// Its graphs; one that is no multigraph has one with its own name.
    pub graphs: Vec<GraphConfig>,
    /// How often it wants to be asked, in ms.
    pub update_rate: Option<i64>,
    /// Whether values stood among it (dirtyconfig): nothing more is to be fetched.
    pub values: bool,
    /// Lines that were not understood, with their faults.
    pub faults: Vec<(usize, String)>,
}

impl Described {
    /// Reads a plugin's answer to `config`. Lines that are not understood are left out, and the
    /// first hundred are listed in `faults`.
    pub fn read(plugin: &str, text: &[u8]) -> Self {
        let mut out = Self::default();
        let mut graph = plugin;
        let mut fields = 0;
        let mut told_of = Vec::new();
        for (number, line) in lines(text) {
            let told = match line {
                Err(fault) => Err(fault),
                Ok(Line::Graph(name)) => {
                    graph = name;
                    out.graph(graph);
                    Ok(())
                }
                Ok(Line::Value { field, .. }) => {
                    out.values = true;
                    told_of.push((number, graph, field));
                    Ok(())
                }
                Ok(Line::Global { name, value }) => out.global(graph, name, value),
                Ok(Line::Attribute { field, name, value }) => {
                    (out.field(graph, field, &mut fields)).and_then(|f| attribute(f, name, value))
                }
            };
            out.wrong(number, told);
            if fields > MAX_FIELDS {
                break;
            }
        }
        // A value in another spelling is one of the field that is described.
        for (number, graph, field) in told_of {
            if fields <= MAX_FIELDS && out.find(graph, field).is_none() {
                let told = out.field(graph, field, &mut fields).map(drop);
                out.wrong(number, told);
            }
        }
        out.graphs.iter_mut().for_each(GraphConfig::settle);
        out
    }

    fn wrong(&mut self, line: usize, told: Result<(), String>) {
        if let Err(fault) = told
            && self.faults.len() < 100
        {
            self.faults.push((line, fault));
        }
    }

    /// Whether this is an answer to `config` at all; a program that knows nothing of Munin prints
    /// something else.
    pub fn is_munin(&self) -> bool {
        let described =
            |g: &GraphConfig| !g.title.is_empty() || g.fields.iter().any(|f| !f.label.is_empty());
        self.graphs.iter().any(described)
    }

    /// The description of a field, by its name as a plugin writes it.
    pub fn find(&self, graph: &str, field: &str) -> Option<&FieldConfig> {
        self.graphs.iter().find(|g| g.name == graph)?.find(field)
    }

    /// Whether a field that is not found could be one of several that are described.
    pub fn is_doubtful(&self, graph: &str, field: &str) -> bool {
        let name = clean_field(field);
        let graph = self.graphs.iter().find(|g| g.name == graph);
        graph.is_some_and(|g| g.fields.iter().any(|f| clean_field(&f.written) == name))
    }

    fn graph(&mut self, name: &str) -> &mut GraphConfig {
        let at = match self.graphs.iter().position(|g| g.name == name) {
            Some(at) => at,
            None => {
                self.graphs.push(GraphConfig { name: name.to_owned(), ..GraphConfig::default() });
                self.graphs.len() - 1
            }
        };
        &mut self.graphs[at]
    }

    fn field(
        &mut self,
        graph: &str,
        name: &str,
        fields: &mut usize,
    ) -> Result<&mut FieldConfig, String> {
        let (written, name) = (name, clean_field(name));
        if name == "root" {
            return Err("no field may be called `root`".to_owned());
        }
        let graph = self.graph(graph);
        let at = match graph.fields.iter().position(|f| f.written == written) {
            Some(at) => at,
            None => {
                *fields += 1;
                if *fields > MAX_FIELDS {
                    return Err(format!("more than {MAX_FIELDS} fields; the rest is left out"));
                }
                graph.fields.push(FieldConfig::named(written, name));
                graph.fields.len() - 1
            }
        };
        Ok(&mut graph.fields[at])
    }

    fn global(&mut self, graph: &str, name: &str, value: &str) -> Result<(), String> {
        if name == "update_rate" {
            let rate = update_rate(value);
            self.update_rate = self.update_rate.or(rate);
            let say = || format!("`{value}` is not a rate; say for example `update_rate 60`");
            return rate.map(drop).ok_or_else(say);
        }
        let graph = self.graph(graph);
        let place = match name {
            "graph_title" => &mut graph.title,
            "graph_vlabel" => &mut graph.unit,
            "graph_category" => &mut graph.category,
            "graph_info" => &mut graph.info,
            "graph_args" => &mut graph.args,
            "graph_order" => &mut graph.order,
            "graph_period" => &mut graph.period,
            "graph" => {
                graph.hidden = no(value);
                return Ok(());
            }
            // About twenty more options exist, for Munin's own drawing and mails.
            _ => return Ok(()),
        };
        *place = short(value);
        Ok(())
    }
}

fn no(value: &str) -> bool {
    ["no", "off", "0", "false"].iter().any(|w| w.eq_ignore_ascii_case(value))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

fn attribute(field: &mut FieldConfig, name: &str, value: &str) -> Result<(), String> {
    let number = |value: &str| match value {
        "U" => Ok(None),
        value => match parse_value(value) {
            Ok(v) if !v.is_nan() => Ok(Some(v)),
            _ => Err(format!("`{value}` is not a number")),
        },
    };
    match name {
        "label" => field.label = short(value),
        "info" => field.info = short(value),
        "type" => {
            let say = || {
                format!("`{value}` is not a type; there are GAUGE, COUNTER, DERIVE and ABSOLUTE")
            };
            field.kind = Type::from_word(value).ok_or_else(say)?;
        }
        "min" => field.bounds.min = number(value)?,
        "max" => field.bounds.max = number(value)?,
        "warning" => field.warning = parse_range(value)?,
        "critical" => field.critical = parse_range(value)?,
        "draw" => field.draw = short(value),
        // A colour of Munin's own palette, which is not used here.
        "colour" | "color" if value.strip_prefix("COLOUR").is_some_and(is_number) => {}
        "colour" | "color" => {
            let value = value.trim_start_matches('#');
            if value.len() != 6 || !value.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(format!("`{value}` is not a colour; write six digits: rrggbb"));
            }
            field.colour = value.to_ascii_lowercase();
        }
        "negative" => field.negative = short(value),
        "cdef" => {
            Cdef::parse(value)?;
            field.cdef = short(value);
        }
        "graph" => field.drawn = !no(value),
        _ => {}
    }
    Ok(())
}

impl GraphConfig {
    /// A field by its name as a plugin writes it; by how it reads once clean, if that is one field.
    fn find(&self, written: &str) -> Option<&FieldConfig> {
        if let Some(field) = self.fields.iter().find(|f| f.written == written) {
            return Some(field);
        }
        let name = clean_field(written);
        let mut alike = self.fields.iter().filter(|f| clean_field(&f.written) == name);
        alike.next().filter(|_| alike.next().is_none())
    }

    /// Gives each field a name of its own: those that would be called alike once clean keep the one
    /// that they are written with. Puts the period into the texts, as Munin's master does.
    fn settle(&mut self) {
        self.put_period();
        let mut names: HashMap<&str, u32> = HashMap::new();
        for field in &self.fields {
            *names.entry(&field.name).or_default() += 1;
        }
        let alike = |f: &FieldConfig| names.get(&*f.name).is_some_and(|n| *n > 1);
        let alike: Vec<bool> = self.fields.iter().map(alike).collect();
        for (field, alike) in self.fields.iter_mut().zip(alike) {
            if alike {
                field.name.clone_from(&field.written);
            }
        }
        for at in 0..self.fields.len() {
            let below = &self.fields[at].negative;
            if below.is_empty() {
                continue;
            }
            let name = match self.find(below) {
                Some(field) => field.name.clone(),
                None => clean_field(below).into_owned(),
            };
            self.fields[at].negative = name;
        }
    }

    /// Replaces `${graph_period}` by `second`, or by the given `graph_period`.
    fn put_period(&mut self) {
        const MARK: &str = "${graph_period}";
        let period = if self.period.is_empty() { "second" } else { &self.period };
        let fields = self.fields.iter_mut().flat_map(|f| [&mut f.label, &mut f.info]);
        let texts = [&mut self.title, &mut self.unit, &mut self.info].into_iter().chain(fields);
        for text in texts.filter(|text| text.contains(MARK)) {
            *text = text.replace(MARK, period);
        }
    }

    /// The graph as everybody else knows it.
    pub fn graph(&self, plugin: &str) -> Graph {
        let category = match &*self.category {
            "" => "other".to_owned(),
            word => word.to_lowercase(),
        };
        let title = match (&*self.title, self.name == plugin) {
            ("", _) => self.name.clone(),
            (title, _) => title.to_owned(),
        };
        let id = if self.name == plugin {
            format!("munin/{plugin}")
        } else {
            format!("munin/{plugin}/{}", self.name)
        };
        Graph {
            system: None,
            id: id.into(),
            title: title.into(),
            category: category.into(),
            unit: self.unit.as_str().into(),
            info: self.info.as_str().into(),
            args: self.args.as_str().into(),
            fields: self.ordered().map(|f| self.field(plugin, f)).collect(),
        }
    }

    /// The fields in the order of `graph_order`, then the others. Fields borrowed from other graphs
    /// (`a=other.field`) are left out.
    fn ordered(&self) -> impl Iterator<Item = &FieldConfig> {
        let place = |f: &FieldConfig| {
            let mut words = self.order.split_whitespace();
            let is = |w: &str| w == f.written || clean_field(w) == f.name;
            words.position(is).unwrap_or(usize::MAX)
        };
        let mut fields: Vec<(usize, &FieldConfig)> =
            self.fields.iter().map(|f| (place(f), f)).collect();
        fields.sort_by_key(|(place, _)| *place);
        fields.into_iter().map(|(_, f)| f)
    }

    fn field(&self, plugin: &str, field: &FieldConfig) -> Field {
        let seconds = match &*self.period {
            "minute" => 60.0,
            "hour" => 3_600.0,
            _ => 1.0,
        };
        let drawn = |name: &str| {
            let other = self.fields.iter().find(|f| f.name == name).or_else(|| self.find(name))?;
            let key = identity(plugin, &self.name, &other.name).key();
            let counts = other.series_kind() == Kind::Counter;
            Some(if counts { format!("rate({key}[5m])") } else { key })
        };
        let cdef = Cdef::parse(&field.cdef).ok();
        let query = match (cdef, drawn(&field.name)) {
            (Some(cdef), Some(_)) => cdef.promql(drawn).unwrap_or_default(),
            (None, Some(own)) if seconds != 1.0 && field.kind != Type::Gauge => {
                format!("{own} * {seconds}")
            }
            _ => String::new(),
        };
        let label = if field.label.is_empty() { &field.name } else { &field.label };
        Field {
            name: field.name.as_str().into(),
            label: label.as_str().into(),
            series: identity(plugin, &self.name, &field.name).key().into(),
            kind: field.series_kind(),
            query: query.into(),
            info: field.info.as_str().into(),
            draw: field.draw.as_str().into(),
            colour: field.colour.as_str().into(),
            negative: field.negative.as_str().into(),
            drawn: field.drawn,
            warning: field.warning,
            critical: field.critical,
        }
    }
}
