//! The metrics in Prometheus' older text format, for scrapers that do not ask for `OpenMetrics`.

use std::fmt::Write as _;

/// The same in the older format: a counter's own name has `_total`, an info is a gauge, and nothing says where it ends.
pub(super) fn plain(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(says)) => help = Some((name, says)),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    _ => ("", kind),
                };
                if let Some((_, says)) = help.take().filter(|(of, _)| *of == name) {
                    // Writing to a String cannot fail.
                    let _ = writeln!(text, "# HELP {name}{suffix} {says}");
                }
                let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
            }
            (Some("#"), ..) => {}
            _ => {
                // The older format has no exemplars; only buckets have them.
                let value = line.contains("_bucket{").then(|| line.rfind(" # {"));
                text.push_str(&line[..value.flatten().unwrap_or(line.len())]);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_infos_are_named_as_the_older_format_names_them() {
        let open = "# HELP aqua_orders Orders, by verdict.\n# TYPE aqua_orders counter\n\
                    aqua_orders_total{publication=\"a # b\",verdict=\"accepted\"} 1\n\
                    # HELP aqua_build The program.\n# TYPE aqua_build info\naqua_build_info{version=\"1\"} 1\n\
                    # HELP aqua_ready Whether.\n# TYPE aqua_ready gauge\naqua_ready 1\n\
                    # HELP aqua_times Times.\n# TYPE aqua_times histogram\naqua_times_sum 0.5\n\
                    aqua_times_bucket{le=\"1.0\"} 2 # {trace_id=\"4bf9\"} 0.5\naqua_times_bucket{le=\"2.0\"} 2\n# EOF\n";
        let due = "# HELP aqua_orders_total Orders, by verdict.\n# TYPE aqua_orders_total counter\n\
                   aqua_orders_total{publication=\"a # b\",verdict=\"accepted\"} 1\n\
                   # HELP aqua_build_info The program.\n# TYPE aqua_build_info gauge\naqua_build_info{version=\"1\"} 1\n\
                   # HELP aqua_ready Whether.\n# TYPE aqua_ready gauge\naqua_ready 1\n\
                   # HELP aqua_times Times.\n# TYPE aqua_times histogram\naqua_times_sum 0.5\n\
                   aqua_times_bucket{le=\"1.0\"} 2\naqua_times_bucket{le=\"2.0\"} 2\n";
        assert_eq!(plain(open), due);
    }
}
