"""Making a model: data sets, the hybrid method, evaluation. Needs torch and lightning (livesnn[train])."""
