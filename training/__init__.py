"""From events to a packaged ensemble: adapters, dataset, models, ensemble, evaluation, packaging."""
