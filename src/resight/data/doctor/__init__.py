"""What is wrong with a dataset: the survey, the checks, the advice."""
