//! Sets of groups, and the condition "this row's group is one of them" as a function that the query engine can push down.

use std::any::Any;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::delta::PartitionValue;

/// Values of some of a table's key columns.
pub struct GroupSet {
    /// Which of the key columns, in order.
    columns: Vec<usize>,
    types: Vec<DataType>,
    converter: RowConverter,
    rows: HashSet<Box<[u8]>>,
}

impl GroupSet {
    /// An empty set over the key columns with these places in `key`.
    pub fn new(columns: Vec<usize>, key: &SchemaRef) -> Result<Self, ArrowError> {
        let types: Vec<DataType> = columns.iter().map(|column| key.field(*column).data_type().clone()).collect();
        let converter = RowConverter::new(types.iter().cloned().map(SortField::new).collect())?;
        Ok(Self { columns, types, converter, rows: HashSet::new() })
    }

    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds groups; one array a column of the set, of any type that casts to the key's.
    pub fn insert(&mut self, columns: &[ArrayRef]) -> Result<(), ArrowError> {
        let rows = self.converter.convert_columns(&self.conformed(columns)?)?;
        for row in &rows {
            if !self.rows.contains(row.as_ref()) {
                self.rows.insert(Box::from(row.as_ref()));
            }
        }
        Ok(())
    }

    /// Which rows are in the set.
    pub fn contains(&self, columns: &[ArrayRef]) -> Result<BooleanArray, ArrowError> {
        let rows = self.converter.convert_columns(&self.conformed(columns)?)?;
        Ok(rows.iter().map(|row| Some(self.rows.contains(row.as_ref()))).collect())
    }

    /// The values of one column of the set, as a table's log writes partition values.
    pub fn partition_values(&self, place: usize) -> Result<BTreeSet<PartitionValue>, ArrowError> {
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(self.rows.iter().map(|row| parser.parse(row)))?;
        let text = cast(&columns[place], &DataType::Utf8)?;
        Ok(text.as_string::<i32>().iter().map(|value| value.map(ToOwned::to_owned)).collect())
    }

    /// The groups of a set over all key columns, which stand at `key` in `schema`.
    pub fn groups(&self, schema: &SchemaRef, key: &[usize]) -> Result<RecordBatch, ArrowError> {
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(self.rows.iter().map(|row| parser.parse(row)))?;
        RecordBatch::try_new(Arc::new(schema.project(key)?), columns)
    }

    fn conformed(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        let pairs = columns.iter().zip(&self.types);
        pairs.map(|(column, to)| if column.data_type() == to { Ok(column.clone()) } else { cast(column, to) }).collect()
    }
}

impl fmt::Debug for GroupSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups of key columns {:?}", self.rows.len(), self.columns)
    }
}

/// `touched(k1, k2, ...)`: true for the rows of the groups in a set.
#[derive(Debug)]
pub(super) struct Touched {
    name: String,
    pub(super) set: Arc<GroupSet>,
    signature: Signature,
}

impl Touched {
    pub(super) fn call(name: String, set: Arc<GroupSet>, arguments: Vec<Expr>) -> Expr {
        let signature = Signature::any(arguments.len(), Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { name, set, signature }).call(arguments)
    }
}

impl PartialEq for Touched {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.set, &other.set)
    }
}

impl Eq for Touched {}

impl Hash for Touched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Touched {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let columns = ColumnarValue::values_to_arrays(&arguments.args)?;
        let result = self.set.contains(&columns)?;
        // Literal arguments have one value for all rows.
        if result.len() == 1 && arguments.number_rows != 1 {
            let all = BooleanArray::from(vec![result.value(0); arguments.number_rows]);
            return Ok(ColumnarValue::Array(Arc::new(all)));
        }
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}

/// A call of [`Touched`] and its arguments.
pub(super) fn as_touched(expression: &Expr) -> Option<(&Touched, &[Expr])> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expression else { return None };
    let inner: &dyn Any = func.inner().as_ref();
    inner.downcast_ref::<Touched>().map(|touched| (touched, args.as_slice()))
}

/// The calls of an expression that is nothing but calls joined by `or`.
pub(super) fn branches(expression: &Expr) -> Option<Vec<(&Touched, &[Expr])>> {
    if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) = expression {
        let mut all = branches(left)?;
        all.extend(branches(right)?);
        return Some(all);
    }
    as_touched(expression).map(|one| vec![one])
}
