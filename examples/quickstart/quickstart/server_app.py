"""quickstart: A Flower / sklearn app."""

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from quickstart.task import get_model, get_model_params

# Create ServerApp
app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Main entry point for the ServerApp."""
    # Read run config
    num_rounds: int = context.run_config["num-server-rounds"]
    fraction_train: float = context.run_config["fraction-train"]
    min_nodes: int = context.run_config["min-available-nodes"]
    lr: float = context.run_config["lr"]

    # Load global model
    arrays = ArrayRecord(get_model_params(get_model(lr)))

    # Initialize FedAvg strategy
    strategy = FedAvg(fraction_train=fraction_train, min_available_nodes=min_nodes)

    # Start strategy, run FedAvg for `num_rounds`
    result = strategy.start(
        grid=grid,
        initial_arrays=arrays,
        train_config=ConfigRecord({"lr": lr}),
        num_rounds=num_rounds,
    )

    # Save final model to disk
    print("\nSaving final model to disk...")  # noqa: T201  # a stock app prints
    np.savez("final_model.npz", *result.arrays.to_numpy_ndarrays())
