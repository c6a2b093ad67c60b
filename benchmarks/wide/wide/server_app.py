"""Stock Flower: FedAvg over the same rounds; writes down when each begins and ends."""

import time
from pathlib import Path

from flwr.app import Array, ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

from wide.task import initial_arrays

app = ServerApp()


@app.main()
def main(grid, context):
    """Run FedAvg, noting the time of day after each round."""
    config = context.run_config
    clients = config["clients"]

    def note(server_round, arrays):
        with Path(config["times"]).open("a", encoding="utf-8") as times:
            times.write(f"{server_round} {time.time()}\n")

    strategy = FedAvg(fraction_evaluate=0.0, min_evaluate_nodes=0, min_train_nodes=clients, min_available_nodes=clients)
    arrays = ArrayRecord(array_dict={name: Array(array) for name, array in initial_arrays(config).items()})
    strategy.start(grid=grid, initial_arrays=arrays, num_rounds=config["rounds"], evaluate_fn=note)
