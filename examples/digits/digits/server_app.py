"""digits: A Flower / NumPy app.

For `flwr run` without Shieldwall; Shieldwall's managed mode takes `digits.task:initial_arrays` and
`digits.task:evaluate` instead.
"""

from flwr.app import Array, ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from digits.task import evaluate, initial_arrays

# Create ServerApp
app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Main entry point for the ServerApp."""
    config = dict(context.run_config)

    # Load global model
    arrays = ArrayRecord({name: Array(array) for name, array in initial_arrays(config).items()})

    def central_evaluate(_server_round: int, arrays: ArrayRecord) -> MetricRecord:
        return MetricRecord(evaluate({name: array.numpy() for name, array in arrays.items()}, config))

    # Initialize FedAvg strategy
    strategy = FedAvg(fraction_train=1.0)

    # Start strategy, run FedAvg for `num_rounds`
    strategy.start(
        grid=grid,
        initial_arrays=arrays,
        num_rounds=config["num-server-rounds"],
        evaluate_fn=central_evaluate,
    )
