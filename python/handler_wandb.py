"""A run of Weights & Biases (https://docs.wandb.ai). Values, the first of them first:
{"start": {"project", "name", "id" or null, "folder", "config": {...}}} -> the run's id;
{"log": {NAME: number}, "step": N}; {"finish": true}."""

PACKAGES = {"wandb": "wandb"}


def load(argument):
    import wandb

    return Run(wandb).handle


class Run:
    def __init__(self, wandb):
        self.wandb = wandb
        self.run = None

    def handle(self, value):
        if "start" in value:
            return self.start(value["start"])
        if "log" in value:
            return self.run.log(value["log"], step=value["step"])
        return self.run.finish()

    def start(self, wanted):
        self.run = self.wandb.init(
            project=wanted["project"],
            name=wanted["name"],
            id=wanted["id"],
            resume="allow",
            dir=wanted["folder"],
            config=wanted["config"],
        )
        return self.run.id
