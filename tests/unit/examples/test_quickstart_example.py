import numpy as np
import pytest

CONFIG = {"num-server-rounds": 3, "fraction-train": 1.0, "min-available-nodes": 4, "local-epochs": 3, "lr": 0.05}
PARTITIONS = 4


@pytest.fixture
def grid(example, process_grid, task_identity):
    return process_grid(example("quickstart.client_app").app, PARTITIONS, CONFIG)


def test_the_stock_app_trains_with_its_own_strategy(example, grid, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example("quickstart.server_app").app(grid, grid.context(1))
    assert grid.asked == [("train", 4), ("evaluate", 4)] * 3
    with np.load("final_model.npz") as final:
        params = [final[name] for name in final.files]
    assert accuracy(example("quickstart.task"), params) > 0.93


def accuracy(task, params):
    model = task.set_model_params(task.get_model(CONFIG["lr"]), params)
    return np.mean([task.test(model, *task.load_data(i, PARTITIONS)[1::2])[1] for i in range(PARTITIONS)])


def test_it_learns_something_beyond_the_initial_model(example):
    task = example("quickstart.task")
    assert accuracy(task, task.get_model_params(task.get_model(CONFIG["lr"]))) < 0.8
