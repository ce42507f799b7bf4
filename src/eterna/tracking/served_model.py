"""The code of a registered model: MLflow copies this file beside final/ and runs it wherever the model is loaded.

It stands alone: nothing of Eterna is imported, so that a server needs only what is imported here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Answers greedily, and stops where the generation config of final/ says."""

    def load_context(self, context: Any) -> None:
        """Load `model`, which is final/; an adapter goes onto the base beside it, or onto the one that it names."""
        folder = Path(context.artifacts["model"])
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.settings = GenerationConfig.from_pretrained(folder)
        if (folder / "adapter_config.json").is_file():
            from peft import PeftConfig, PeftModel

            named = PeftConfig.from_pretrained(folder)
            beside = folder.parent / "base"
            base = beside if beside.is_dir() else named.base_model_name_or_path
            whole = AutoModelForCausalLM.from_pretrained(base, revision=named.revision, dtype=torch.float32)
            model = PeftModel.from_pretrained(whole, folder)
        else:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[str]:
        """One reply for each row of the column `messages` (lists of {role, content}) or `prompt` (text)."""
        given = [name for name in ("messages", "prompt") if name in model_input.columns]
        if len(given) != 1:
            raise MlflowException.invalid_parameter_value("give one column: messages or prompt")
        return [self.reply(value) for value in model_input[given[0]]]

    def reply(self, messages: Any) -> str:
        """The answer to a conversation; plain text stands for one message of the user."""
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        ids = torch.tensor([self.encode(turns)], device=self.model.device)
        with torch.no_grad():
            out = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=self.settings,
                do_sample=False,
            )
        new = out[0, ids.shape[1] :]  # (new tokens,)
        return str(self.tokenizer.decode(new, skip_special_tokens=True)).strip()

    def encode(self, turns: list[dict[str, str]]) -> list[int]:
        """Token ids of a conversation that waits for its answer; control tokens that somebody typed stay text."""
        added = self.tokenizer.added_tokens_decoder.values()
        control = {token.content for token in added if token.special} | set(self.tokenizer.all_special_tokens)
        signs = {token: chr(0xF0000 + number) for number, token in enumerate(sorted(control, key=len, reverse=True))}
        hidden = [dict(turn) for turn in turns]
        for turn in hidden:
            for token, sign in signs.items():
                turn["content"] = turn["content"].replace(token, sign)
        text = self.tokenizer.apply_chat_template(hidden, tokenize=False, add_generation_prompt=True)
        tokens = {sign: token for token, sign in signs.items()}
        ids: list[int] = []
        for part in re.split(f"([{''.join(tokens)}])", text):
            said = tokens.get(part, part)
            ids += self.tokenizer(said, add_special_tokens=False, split_special_tokens=part in tokens)["input_ids"]
        return ids


mlflow.models.set_model(ServedModel())
