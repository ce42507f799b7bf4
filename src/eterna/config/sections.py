"""The typed sections of a run file. Keys inside `training` and `lora` are the field's own, verbatim.

Each field has its type, default, bounds and meaning; the command line's help, the JSON schema and the docs come from
here. Importing this module loads no torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

RUN_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
LARGEST_NUMBER = 2**63 - 1
NUMBERS = (int, float, int | float, int | None, int | float | None)
OWN_TRACKERS = ("tensorboard", "mlflow")

Metric = Literal["perplexity", "bleu", "rouge", "relevancy", "coherence", "style", "insightfulness"]
METRICS: tuple[Metric, ...] = get_args(Metric)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


class Section(BaseModel):
    """A part of the run file: unknown keys are refused, field texts become descriptions."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )

    @field_validator("*", mode="before")
    @classmethod
    def _keep_truth_apart_from_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in NUMBERS:
            raise PydanticCustomError("float_type", "expected a number")
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise PydanticCustomError("number_size", "a number of that size has no meaning here")
        return value


class ModelSection(Section):
    """Which model is trained."""

    name: str = Field(min_length=1)
    """Hub id, a folder, or `eterna:base` for the small base model that comes with Eterna."""
    revision: str | None = None
    """Branch, tag or commit of a Hub model."""
    init: Literal["pretrained", "random"] = "pretrained"
    """`random` reads only the configuration and the tokenizer and draws new weights from `training.seed`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type the weights are held in; `auto` follows `training.precision`: trained weights are float32."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    """Attention implementation of transformers; `auto` is its own choice."""
    quantization: Literal["none", "nf4"] = "none"
    """`nf4` holds the frozen base in 4 bits under LoRA: QLoRA (arXiv:2305.14314); needs bitsandbytes."""


class LoraSection(Section):
    """LoRA adapters, by PEFT's own names. Leave the section out for full fine-tuning."""

    model_config = ConfigDict(extra="allow")

    r: int = Field(8, ge=1, le=4096)
    """Rank."""
    lora_alpha: float = Field(16, gt=0)
    """Scaling: the adapter's output is multiplied by lora_alpha / r."""
    target_modules: list[str] | str = "all-linear"
    """Names of the layers that get an adapter, or `all-linear`."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Which bias terms are trained."""
    task_type: Literal["CAUSAL_LM"] = "CAUSAL_LM"
    """Eterna trains causal language models."""
    use_rslora: bool = False
    """Scale by lora_alpha / sqrt(r) instead (arXiv:2312.03732)."""
    use_dora: bool = False
    """Train magnitude and direction apart (arXiv:2402.09353)."""
    modules_to_save: list[str] | None = None
    """Layers trained whole beside the adapters, such as lm_head."""


Copies = Literal["warn", "error", "remove"]


class Columns(Section):
    """What the columns of your files are called, where they differ from the standard names."""

    messages: str = "messages"
    """Column with the list of {role, content}."""
    prompt: str = "prompt"
    """Column with the prompt, text or messages."""
    completion: str = "completion"
    """Column with the answer, text or messages."""
    text: str = "text"
    """Column with plain text."""
    id: str = "id"
    """Column with a unique name for the example; file and line when absent."""
    weight: str = "weight"
    """Column with the loss weight of the whole example; 1 when absent."""


class Source(Section):
    """One source of examples: a file, or a part of the world."""

    path: str | None = None
    """A .jsonl, .json, .csv, .txt, .parquet or .arrow file, a folder of `save_to_disk`, or a Hub data set
    (owner/name)."""
    name: str | None = None
    """Configuration of a Hub data set, as in `load_dataset(path, name)`."""
    revision: str | None = None
    """Branch, tag or commit of a Hub data set."""
    format: Literal["auto", "messages", "prompt_completion", "turns", "sharegpt", "alpaca", "text", "book"] = "auto"
    """Shape of the file; `auto` looks at each row. `book` is a whole book as plain text: chapters, scenes, verse."""
    columns: Columns | None = None
    """What the columns of this file are called; `data.columns` when left out."""
    world: Literal["examples", "books"] | None = None
    """Instead of a file: the world's conversations, or the text of its books."""
    split: str | None = None
    """Which part of the world's examples or of a data set, such as `train` or `test[:200]`; train in `data.train`,
    validation in `data.eval` when left out."""
    voice: str | None = None
    """Only this book or NPC of the world."""
    weight: float = Field(1.0, gt=0, le=1000)
    """How often each example is seen in an epoch: 2 is twice, 0.5 is every other one."""


class DataSection(Section):
    """What the model learns from, and how it is cut."""

    train: Annotated[list[Source], BeforeValidator(_as_list)] = Field(min_length=1)
    """Sources of training examples."""
    eval: Annotated[list[Source], BeforeValidator(_as_list)] = Field(default_factory=list)
    """Sources of held-out examples."""
    max_length: int = Field(1024, ge=8, le=10_000_000)
    """Window in tokens."""
    too_long: Literal["error", "drop", "cut_left", "split"] = "error"
    """What to do with an example past the window; `split` is for plain text."""
    train_on: Literal["answers", "all"] | list[str] = "answers"
    """`answers` takes loss on the answers and their stop token only; a list of speakers on theirs alone; plain text is
    always trained whole."""
    columns: Columns = Field(default_factory=Columns)
    """Column names of your files."""
    skip_bad: bool = False
    """Leave out rows that cannot be used instead of stopping; they are counted and kept in `skipped.jsonl`."""
    hold_out: float = Field(0.0, ge=0, le=0.5)
    """Share of the conversations, books and scenes of `data.train` kept for `data.eval`; none is ever divided."""
    duplicates: Copies = "warn"
    """What to do with exact copies inside `data.train`: `warn`, `error`, or `remove` all but the first."""
    near_duplicates: Copies = "warn"
    """The same for near copies: a few words changed, a sentence moved."""
    leaks: Copies = "error"
    """What to do with examples of `data.train` that stand in `data.eval` too; `remove` takes them out of training."""
    near_leaks: Copies = "warn"
    """The same for near copies, long shared runs of words, and conversations that stand on both sides."""

    @property
    def holds_out(self) -> bool:
        """Whether a run has held-out data: sources of their own, or a share of the training data."""
        return bool(self.eval or self.hold_out)


class TrainingSection(Section):
    """transformers' TrainingArguments by their own names; fields not listed here pass through unchanged."""

    model_config = ConfigDict(extra="allow")

    output_dir: str = Field(
        "", description="The run folder: everything this run leaves behind; runs/NAME when left out."
    )
    num_train_epochs: float = Field(3.0, gt=0, le=100_000)
    """Times the training data is seen."""
    max_steps: int = Field(-1, ge=-1)
    """Optimizer steps; -1 follows num_train_epochs."""
    per_device_train_batch_size: int = Field(8, ge=1, le=65536)
    """Examples per device in one forward pass."""
    per_device_eval_batch_size: int = Field(8, ge=1, le=65536)
    """Examples per device in one evaluation pass."""
    gradient_accumulation_steps: int = Field(1, ge=1, le=65536)
    """Forward passes per optimizer step; the loss is exact for any split."""
    learning_rate: float = Field(5e-5, gt=0, le=10)
    """Peak learning rate."""
    weight_decay: float = Field(0.0, ge=0, le=1)
    """Weight decay (AdamW)."""
    warmup_steps: int | float = Field(0, ge=0)
    """Steps of warm-up; below 1 it is a share of all steps."""
    lr_scheduler_type: str = "linear"
    """linear, cosine, constant, constant_with_warmup and the others of transformers."""
    optim: str = "adamw_torch_fused"
    """Optimizer, by transformers' names; `muon` is Muon for the matrices of the layers, AdamW for the rest."""
    max_grad_norm: float = Field(1.0, ge=0)
    """Gradient clipping; 0 is none."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the forward pass; auto: bf16 where the hardware multiplies it, fp16 on older GPUs, else fp32."""
    fast_path: Literal["auto", "on", "off"] = "auto"
    """Train without padding, by fused operations, with the same result; auto: on a CPU; on: on a GPU too (untried)."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass instead of keeping them: less memory, about a third more time."""
    label_smoothing_factor: float = Field(0.0, ge=0, lt=1)
    """Label smoothing."""
    eval_strategy: Literal["auto", "no", "steps", "epoch"] = "auto"
    """When to evaluate; auto: every eval_steps where data.eval is given."""
    eval_steps: int | float | None = Field(None, gt=0)
    """Steps between evaluations; below 1 it is a share of all steps; logging_steps when left out."""
    save_strategy: Literal["no", "steps", "epoch", "best"] = "steps"
    """When to write a checkpoint; best: whenever metric_for_best_model is better than ever."""
    save_steps: int | float = Field(500, gt=0)
    """Steps between checkpoints; below 1 it is a share of all steps."""
    save_total_limit: int | None = Field(None, ge=1)
    """How many checkpoints are kept."""
    logging_steps: int | float = Field(10, gt=0)
    """Steps between log lines; below 1 it is a share of all steps."""
    report_to: Annotated[list[str], BeforeValidator(_as_list)] = Field(default_factory=lambda: ["tensorboard"])
    """Trackers: tensorboard, mlflow, all, none; any other name transformers knows passes through."""
    fsdp: bool = False
    """Share weights, gradients and optimizer out over the GPUs (FSDP2); `fsdp_config` tunes it."""
    seed: int = Field(42, ge=0, lt=2**32)
    """Seed of the weights, the order and the dropout."""


class DuringTraining(Section):
    """What is measured at each evaluation while training goes on."""

    metrics: list[Metric] = ["perplexity"]
    """Metrics run at step 0 and at each evaluation."""
    samples: int = Field(16, ge=1, le=100_000)
    """At most so many replies are generated for them, the same prompts each time."""


class EvaluationSection(Section):
    """What is measured, before, during and after training."""

    metrics: list[Metric] = list(METRICS)
    """Metrics on data.eval, base against tuned."""
    samples: int = Field(64, ge=1, le=100_000)
    """At most so many replies are generated and scored, taken from each voice in turn."""
    probes: int = Field(6, ge=0, le=1000)
    """Fixed prompts answered at step 0 and at each evaluation, taken from data.eval."""
    during_training: DuringTraining = Field(default_factory=DuringTraining)
    """Metrics and samples of the evaluations while training goes on."""
    best: dict[str, float] = Field(default_factory=dict)
    """Weights of the composite that picks the best checkpoint, by metric; negative where lower is better.
    Empty: the last step is kept."""
    early_stopping_patience: int | None = Field(None, ge=1)
    """Stop after so many evaluations in a row without a better composite."""
    early_stopping_threshold: float = Field(0.0, ge=0)
    """How much better an evaluation must be to count."""
    canon: str | None = None
    """A canon.yaml of your own; the world's when left out."""
    general: str | None = None
    """A .txt file of general text that shows what was forgotten; a small text in two languages when left out."""
    ratings: str | None = None
    """Human ratings of insightfulness, a .csv or .jsonl file."""
    control: str | None = None
    """A run on other data, or its measured.jsonl, to hold the tuned model against on the same held-out items."""


class GenerationSection(Section):
    """How replies are generated, everywhere the same."""

    max_new_tokens: int = Field(120, ge=1, le=100_000)
    """Longest reply in tokens."""
    temperature: float = Field(0.0, ge=0, le=10)
    """0 is greedy: the same reply each time."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling, with a temperature above 0."""
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    """Taken off a token's logit for each time that the reply has it already; against replies that go in circles."""
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    """Taken off once, of each token that the reply has already."""
    guidance_scale: float = Field(1.0, ge=1, le=20)
    """How far a reply is led away from what would be said without its prompt (classifier-free guidance); 1 is off."""
    redraws: int = Field(0, ge=0, le=100)
    """A reply that breaks the canon is drawn anew, at most so often; with a temperature above 0."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of sampling."""

    @property
    def guided(self) -> bool:
        """Whether replies are led away from what would be said without their prompt."""
        return self.guidance_scale != 1


class MlflowSection(Section):
    """Where MLflow records go."""

    tracking_uri: str | None = None
    """SQLite file or server; MLFLOW_TRACKING_URI, else sqlite:///mlflow.db."""
    experiment: str = "eterna"
    """Experiment name; MLFLOW_EXPERIMENT_NAME goes first."""
    register_as: str | None = Field(None, pattern=r"^[^/:]+$")
    """Name in the model registry: the tuned model becomes a new version of it."""
    alias: str = Field("candidate", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Alias that the new version gets."""


class TrackingSection(Section):
    """Where curves and records go besides the run folder."""

    tensorboard_dir: str | None = None
    """Folder of the event files; `logs` inside the run folder when left out."""
    mlflow: MlflowSection = Field(default_factory=MlflowSection)
    """MLflow's settings."""


class RunConfig(Section):
    """One file for the whole life of a run."""

    name: str = Field("run", pattern=RUN_NAME)
    """Name of the run: letters, digits, dot, dash, underscore."""
    world: str | None = None
    """Folder of a world, or `eterna:biblioteca` for the one that comes with Eterna."""
    model: ModelSection
    """The model."""
    lora: LoraSection | None = None
    """LoRA; absent: full fine-tuning."""
    data: DataSection
    """The data."""
    training: TrainingSection = Field(default_factory=TrainingSection)
    """The training."""
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    """The evaluation."""
    generation: GenerationSection = Field(default_factory=GenerationSection)
    """The generation of replies."""
    tracking: TrackingSection = Field(default_factory=TrackingSection)
    """The trackers."""

    @model_validator(mode="after")
    def _name_the_run_folder(self) -> RunConfig:
        if not self.training.output_dir:
            self.training.output_dir = f"runs/{self.name}"
        return self
