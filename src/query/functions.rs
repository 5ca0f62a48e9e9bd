//! query: the functions of the language as a flat table: name, types and number of arguments, type
//! of the result. The evaluator computes them.

use super::types::ValueType::{self, Matrix, Scalar, String, Vector};

/// A function as the parser knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// The identity, for a `match`.
    pub id: FunctionId,
    /// Its spelling.
    pub name: &'static str,
    /// The types of its arguments; those past the end have the last one's.
    pub args: &'static [ValueType],
    /// The least number of arguments.
    pub least: usize,
    /// The largest number of arguments; [`usize::MAX`] if there is no limit.
    pub most: usize,
    /// The type of the result.
    pub returns: ValueType,
}

impl Function {
    /// The function of that name. `holt_winters` is the name that `double_exponential_smoothing`
    /// had before Prometheus 3.
    pub fn named(name: &str) -> Option<&'static Function> {
        let name = if name == "holt_winters" { "double_exponential_smoothing" } else { name };
        let at = FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok()?;
        Some(&FUNCTIONS[at])
    }

    /// The number by which Prometheus' API tells how many arguments are optional: 0 where their
    /// number is fixed, -1 where there is no end.
    pub fn variadic(&self) -> i64 {
        if self.least == self.most {
            0
        } else if self.most == ANY {
            -1
        } else {
            (self.most - self.least) as i64
        }
    }

    /// The type that an argument has to have.
    pub fn arg(&self, index: usize) -> Option<ValueType> {
        self.args.get(index).or(self.args.last()).copied()
    }
}

const ANY: usize = usize::MAX;

macro_rules! functions {
    ($($id:ident, $name:literal, [$($arg:ident),*], $least:expr, $most:expr, $returns:ident;)*) => {
        /// Which function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is the function of that name")]
        pub enum FunctionId {
            $($id,)*
        }

        /// All of them, in the order of their names.
        pub const FUNCTIONS: &[Function] = &[
            $(Function {
                id: FunctionId::$id,
                name: $name,
                args: &[$($arg),*],
                least: $least,
                most: $most,
                returns: $returns,
            },)*
        ];
    };
}

#[rustfmt::skip] // A row a function.
functions! {
    Abs, "abs", [Vector], 1, 1, Vector;
    Absent, "absent", [Vector], 1, 1, Vector;
    AbsentOverTime, "absent_over_time", [Matrix], 1, 1, Vector;
    Acos, "acos", [Vector], 1, 1, Vector;
    Acosh, "acosh", [Vector], 1, 1, Vector;
    Asin, "asin", [Vector], 1, 1, Vector;
    Asinh, "asinh", [Vector], 1, 1, Vector;
    Atan, "atan", [Vector], 1, 1, Vector;
    Atanh, "atanh", [Vector], 1, 1, Vector;
    AvgOverTime, "avg_over_time", [Matrix], 1, 1, Vector;
    Ceil, "ceil", [Vector], 1, 1, Vector;
    Changes, "changes", [Matrix], 1, 1, Vector;
    Clamp, "clamp", [Vector, Scalar, Scalar], 3, 3, Vector;
    ClampMax, "clamp_max", [Vector, Scalar], 2, 2, Vector;
    ClampMin, "clamp_min", [Vector, Scalar], 2, 2, Vector;
    Cos, "cos", [Vector], 1, 1, Vector;
    Cosh, "cosh", [Vector], 1, 1, Vector;
    CountOverTime, "count_over_time", [Matrix], 1, 1, Vector;
    DayOfMonth, "day_of_month", [Vector], 0, 1, Vector;
    DayOfWeek, "day_of_week", [Vector], 0, 1, Vector;
    DayOfYear, "day_of_year", [Vector], 0, 1, Vector;
    DaysInMonth, "days_in_month", [Vector], 0, 1, Vector;
    Deg, "deg", [Vector], 1, 1, Vector;
    Delta, "delta", [Matrix], 1, 1, Vector;
    Deriv, "deriv", [Matrix], 1, 1, Vector;
    DoubleExponentialSmoothing, "double_exponential_smoothing", [Matrix, Scalar, Scalar], 3, 3, Vector;
    End, "end", [], 0, 0, Scalar;
    Exp, "exp", [Vector], 1, 1, Vector;
    FirstOverTime, "first_over_time", [Matrix], 1, 1, Vector;
    Floor, "floor", [Vector], 1, 1, Vector;
    HistogramAvg, "histogram_avg", [Vector], 1, 1, Vector;
    HistogramCount, "histogram_count", [Vector], 1, 1, Vector;
    HistogramFraction, "histogram_fraction", [Scalar, Scalar, Vector], 3, 3, Vector;
    HistogramQuantile, "histogram_quantile", [Scalar, Vector], 2, 2, Vector;
    HistogramQuantiles, "histogram_quantiles", [Vector, String, Scalar, Scalar], 3, 12, Vector;
    HistogramStddev, "histogram_stddev", [Vector], 1, 1, Vector;
    HistogramStdvar, "histogram_stdvar", [Vector], 1, 1, Vector;
    HistogramSum, "histogram_sum", [Vector], 1, 1, Vector;
    Hour, "hour", [Vector], 0, 1, Vector;
    Idelta, "idelta", [Matrix], 1, 1, Vector;
    Increase, "increase", [Matrix], 1, 1, Vector;
    Info, "info", [Vector, Vector], 1, 2, Vector;
    Irate, "irate", [Matrix], 1, 1, Vector;
    LabelJoin, "label_join", [Vector, String, String, String], 3, ANY, Vector;
    LabelReplace, "label_replace", [Vector, String, String, String, String], 5, 5, Vector;
    LastOverTime, "last_over_time", [Matrix], 1, 1, Vector;
    Ln, "ln", [Vector], 1, 1, Vector;
    Log10, "log10", [Vector], 1, 1, Vector;
    Log2, "log2", [Vector], 1, 1, Vector;
    MadOverTime, "mad_over_time", [Matrix], 1, 1, Vector;
    MaxOf, "max_of", [Scalar, Scalar], 2, 2, Scalar;
    MaxOverTime, "max_over_time", [Matrix], 1, 1, Vector;
    MinOf, "min_of", [Scalar, Scalar], 2, 2, Scalar;
    MinOverTime, "min_over_time", [Matrix], 1, 1, Vector;
    Minute, "minute", [Vector], 0, 1, Vector;
    Month, "month", [Vector], 0, 1, Vector;
    Pi, "pi", [], 0, 0, Scalar;
    PredictLinear, "predict_linear", [Matrix, Scalar], 2, 2, Vector;
    PresentOverTime, "present_over_time", [Matrix], 1, 1, Vector;
    QuantileOverTime, "quantile_over_time", [Scalar, Matrix], 2, 2, Vector;
    Rad, "rad", [Vector], 1, 1, Vector;
    Range, "range", [], 0, 0, Scalar;
    Rate, "rate", [Matrix], 1, 1, Vector;
    Resets, "resets", [Matrix], 1, 1, Vector;
    Round, "round", [Vector, Scalar], 1, 2, Vector;
    Scalar, "scalar", [Vector], 1, 1, Scalar;
    Sgn, "sgn", [Vector], 1, 1, Vector;
    Sin, "sin", [Vector], 1, 1, Vector;
    Sinh, "sinh", [Vector], 1, 1, Vector;
    Sort, "sort", [Vector], 1, 1, Vector;
    SortByLabel, "sort_by_label", [Vector, String], 1, ANY, Vector;
    SortByLabelDesc, "sort_by_label_desc", [Vector, String], 1, ANY, Vector;
    SortDesc, "sort_desc", [Vector], 1, 1, Vector;
    Sqrt, "sqrt", [Vector], 1, 1, Vector;
    Start, "start", [], 0, 0, Scalar;
    StartTimestamp, "start_timestamp", [Vector], 1, 1, Vector;
    StddevOverTime, "stddev_over_time", [Matrix], 1, 1, Vector;
    StdvarOverTime, "stdvar_over_time", [Matrix], 1, 1, Vector;
    Step, "step", [], 0, 0, Scalar;
    SumOverTime, "sum_over_time", [Matrix], 1, 1, Vector;
    Tan, "tan", [Vector], 1, 1, Vector;
    Tanh, "tanh", [Vector], 1, 1, Vector;
    Time, "time", [], 0, 0, Scalar;
    Timestamp, "timestamp", [Vector], 1, 1, Vector;
    TsOfFirstOverTime, "ts_of_first_over_time", [Matrix], 1, 1, Vector;
    TsOfLastOverTime, "ts_of_last_over_time", [Matrix], 1, 1, Vector;
    TsOfMaxOverTime, "ts_of_max_over_time", [Matrix], 1, 1, Vector;
    TsOfMinOverTime, "ts_of_min_over_time", [Matrix], 1, 1, Vector;
    Vector, "vector", [Scalar], 1, 1, Vector;
    Year, "year", [Vector], 0, 1, Vector;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name), "the search needs the order");
        for function in FUNCTIONS {
            assert_eq!(Function::named(function.name), Some(function));
            assert!(function.least <= function.most, "{}", function.name);
        }
        assert_eq!(Function::named("Rate"), None);
        let old = Function::named("holt_winters").unwrap();
        assert_eq!(old.id, FunctionId::DoubleExponentialSmoothing);
    }

    #[test]
    fn the_number_of_arguments_as_the_api_tells_it() {
        let variadic = |name| Function::named(name).unwrap().variadic();
        assert_eq!(variadic("rate"), 0);
        assert_eq!(variadic("round"), 1);
        assert_eq!(variadic("histogram_quantiles"), 9);
        assert_eq!(variadic("label_join"), -1);
        let join = Function::named("label_join").unwrap();
        assert_eq!(join.arg(0), Some(Vector));
        assert_eq!(join.arg(9), Some(String));
        assert_eq!(Function::named("pi").unwrap().arg(0), None);
    }
}
