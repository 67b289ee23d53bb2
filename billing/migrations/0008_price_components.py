from django.db import migrations, models

from config.foundation.sqlfiles import run_sql_file


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0007_desk'),
    ]

    operations = [
        migrations.AddField(
            model_name='pricerule',
            name='audio_input_nano',
            field=models.BigIntegerField(blank=True, null=True, verbose_name='audio input / 1M'),
        ),
        migrations.AddField(
            model_name='pricerule',
            name='audio_output_nano',
            field=models.BigIntegerField(blank=True, null=True, verbose_name='audio output / 1M'),
        ),
        migrations.AddField(
            model_name='pricerule',
            name='character_nano',
            field=models.BigIntegerField(blank=True, null=True, verbose_name='characters / 1M'),
        ),
        migrations.AddField(
            model_name='pricerule',
            name='reasoning_nano',
            field=models.BigIntegerField(blank=True, null=True, verbose_name='reasoning / 1M'),
        ),
        migrations.AddField(
            model_name='pricerule',
            name='rounding',
            field=models.CharField(choices=[('half_even', 'to the nearest, half to even'), ('half_up', 'to the nearest, half up'), ('up', 'up')], default='half_even', max_length=12, verbose_name='rounding'),
        ),
        migrations.AddField(
            model_name='pricerule',
            name='rounding_step_nano',
            field=models.BigIntegerField(default=1, verbose_name='rounded to'),
        ),
        migrations.AddField(
            model_name='pricerule',
            name='unit_prices',
            field=models.JSONField(blank=True, db_default={}, default=dict, verbose_name='images, video, audio'),
        ),
        migrations.AddField(
            model_name='requestlog',
            name='audio_input_tokens',
            field=models.IntegerField(db_default=0, default=0, verbose_name='audio input tokens'),
        ),
        migrations.AddField(
            model_name='requestlog',
            name='audio_output_tokens',
            field=models.IntegerField(db_default=0, default=0, verbose_name='audio output tokens'),
        ),
        migrations.AddField(
            model_name='requestlog',
            name='character_count',
            field=models.IntegerField(db_default=0, default=0, verbose_name='characters'),
        ),
        migrations.AddField(
            model_name='requestlog',
            name='image_count',
            field=models.IntegerField(db_default=0, default=0, verbose_name='images'),
        ),
        migrations.AddField(
            model_name='requestlog',
            name='media_ms',
            field=models.BigIntegerField(db_default=0, default=0, verbose_name='length, ms'),
        ),
        migrations.AddField(
            model_name='requestlog',
            name='media_quality',
            field=models.CharField(blank=True, db_default='', default='', max_length=16, verbose_name='quality'),
        ),
        migrations.AddField(
            model_name='requestlog',
            name='media_size',
            field=models.CharField(blank=True, db_default='', default='', max_length=32, verbose_name='size'),
        ),
        migrations.AddField(
            model_name='requestlog',
            name='modality',
            field=models.CharField(db_default='text', default='text', max_length=16, verbose_name='modality'),
        ),
        migrations.AddConstraint(
            model_name='pricerule',
            constraint=models.CheckConstraint(condition=models.Q(('rounding_step_nano__gt', 0)), name='price_rule_rounding_step'),
        ),
        run_sql_file("billing/sql/portal_cost.sql"),
    ]
