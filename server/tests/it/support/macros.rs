//! What Grafana makes of a query before it sends it: variables first, as the browser does, then the macros of its data
//! source for PostgreSQL.

use jiff::Timestamp;

/// What a panel is shown for.
#[derive(Clone, Debug)]
pub(crate) struct Panel<'a> {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) interval_ms: i64,
    /// Values by variable, and whether it takes several.
    pub(crate) variables: &'a [(&'a str, &'a [&'a str], bool)],
}

impl Panel<'_> {
    /// The query as the database gets it.
    pub(crate) fn expand(&self, sql: &str) -> Result<String, String> {
        let mut sql = sql.to_owned();
        for (name, values, is_multi) in self.variables {
            let quoted: Vec<String> =
                values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
            let quoted = quoted.join(",");
            let plain = if *is_multi { quoted.clone() } else { values[0].replace('\'', "''") };
            sql = sql.replace(&format!("${{{name}:sqlstring}}"), &quoted);
            sql = sql.replace(&format!("${{{name}}}"), &plain).replace(&format!("${name}"), &plain);
        }
        let seconds = |ms: i64| ms / 1000;
        let interval = match self.interval_ms {
            ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
            ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
            ms => format!("{ms}ms"),
        };
        sql = sql
            .replace("$__interval_ms", &self.interval_ms.to_string())
            .replace("$__interval", &interval)
            .replace("$__unixEpochFrom()", &seconds(self.from_ms).to_string())
            .replace("$__unixEpochTo()", &seconds(self.to_ms).to_string());
        self.macros(&sql)
    }

    /// `\$([_a-zA-Z0-9]+)\(([^\)]*)\)`, over the whole text: arguments end at the first parenthesis.
    fn macros(&self, sql: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = sql;
        while let Some(start) = rest.find('$') {
            let (before, after) = rest.split_at(start);
            expanded.push_str(before);
            let name: String =
                after[1..].chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
            let tail = &after[1 + name.len()..];
            let call = tail.strip_prefix('(').and_then(|tail| tail.split_once(')'));
            let Some((arguments, tail)) = call.filter(|_| !name.is_empty()) else {
                expanded.push('$');
                rest = &after[1..];
                continue;
            };
            let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
            let (name, tail) = match (name.as_str(), tail.strip_prefix(',')) {
                ("__timeGroup", Some(_)) => ("__timeGroupAlias", tail),
                (name, _) => (name, tail),
            };
            expanded.push_str(&self.evaluate(name, &arguments)?);
            rest = tail;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn evaluate(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let rfc = |ms: i64| Timestamp::from_millisecond(ms).unwrap().to_string();
        let column = arguments[0];
        let seconds = || {
            let text = arguments.get(1).ok_or("which interval?")?.trim_matches('\'');
            let (number, unit) = text.split_at(text.len() - 1);
            let unit = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return Err(format!("not an interval: {text}")),
            };
            Ok(number.parse::<i64>().map_err(|error| error.to_string())? * unit)
        };
        Ok(match name {
            "__time" => format!("{column} AS \"time\""),
            "__timeEpoch" => format!("extract(epoch from {column}) as \"time\""),
            "__timeFilter" => {
                format!("{column} BETWEEN '{}' AND '{}'", rfc(self.from_ms), rfc(self.to_ms))
            }
            "__timeFrom" => format!("'{}'", rfc(self.from_ms)),
            "__timeTo" => format!("'{}'", rfc(self.to_ms)),
            "__timeGroup" => format!("time_bucket('{}.000s',{column})", seconds()?),
            "__timeGroupAlias" => format!("time_bucket('{}.000s',{column}) AS \"time\"", seconds()?),
            "__unixEpochFilter" => {
                format!("{column} >= {} AND {column} <= {}", self.from_ms / 1000, self.to_ms / 1000)
            }
            "__unixEpochNanoFrom" => (self.from_ms * 1_000_000).to_string(),
            "__unixEpochNanoTo" => (self.to_ms * 1_000_000).to_string(),
            "__unixEpochGroup" => format!("floor(({column})/{0})*{0}", seconds()?),
            _ => return Err(format!("unknown macro ${name}")),
        })
    }
}

#[test]
fn macros_expand_as_grafana_expands_them() {
    // 2026-11-24T11:05:30Z and six hours later.
    let panel = Panel {
        from_ms: 1_795_518_330_000,
        to_ms: 1_795_539_930_000,
        interval_ms: 15_000,
        variables: &[("agent", &["1", "2"], true), ("name", &["it's"], false), ("tag", &["-1"], true)],
    };
    for (sql, expected) in [
        ("$__timeFilter(time)", "time BETWEEN '2026-11-24T11:05:30Z' AND '2026-11-24T17:05:30Z'"),
        ("$__timeGroupAlias(time,'5m')", "time_bucket('300.000s',time) AS \"time\""),
        ("$__timeGroup(time,'5m'), x", "time_bucket('300.000s',time) AS \"time\", x"),
        ("$__timeGroup(time, '5m')", "time_bucket('300.000s',time)"),
        ("$__unixEpochGroup(a,'5m')", "floor((a)/300)*300"),
        ("$__unixEpochNanoFrom()", "1795518330000000000"),
        ("$__unixEpochFrom()*1000", "1795518330*1000"),
        ("f($__timeFrom(), $__interval_ms)", "f('2026-11-24T11:05:30Z', 15000)"),
        ("'$__interval'", "'15s'"),
        ("IN ($agent) OR '-1' IN ($tag)", "IN ('1','2') OR '-1' IN ('-1')"),
        ("${name:sqlstring} $name", "'it''s' it''s"),
        ("$tag$ costs $5", "'-1'$ costs $5"),
        // Arguments end at the first parenthesis.
        ("$__time(to_timestamp(a))", "to_timestamp(a AS \"time\")"),
    ] {
        assert_eq!(panel.expand(sql).as_deref(), Ok(expected), "{sql}");
    }
    assert!(panel.expand("-- $nope(x)").unwrap_err().contains("nope"));
}
