"""PrivacyBudgets: what trainings reserve and spend of them, kept in their status and nowhere else."""
