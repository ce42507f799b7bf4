raise SystemExit("code of the model was run")
